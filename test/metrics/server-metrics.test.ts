import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { RawImap } from '../support/raw-imap.ts';
import { RawSmtp } from '../support/raw-smtp.ts';
import { parseExposition, type Scraped } from './parse.ts';

const MESSAGE = 'Subject: canary-subject\r\n\r\nHello.\r\n';

/** A real server, scraped while mail flows. */
describe('the metrics of a server', function () {
  this.timeout(60_000);
  let server: Letterlock;
  let text: string;
  let metrics: ReadonlyMap<string, Scraped>;
  /** Octets of the three messages as they were sent, trace fields not counted. */
  const sentOctets = 3 * MESSAGE.length;

  async function scrape(): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${server.ports.metrics}/metrics`);
    assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    text = await response.text();
    metrics = parseExposition(text);
  }
  const value = (name: string, labels = ''): number | undefined => metrics.get(name)?.samples.get(labels);
  const all = (name: string): Record<string, number> => Object.fromEntries(metrics.get(name)!.samples);

  before(async () => {
    server = await startLetterlock({ config: { plaintextAuthNetworks: ['127.0.0.0/8'] } });
    const [alice, bob] = [server.users[0]!, server.users[1]!];

    const mx = await RawSmtp.connect(server.ports.mx);
    await mx.send('s@elsewhere.test', [alice.address], MESSAGE);
    await mx.send('s@elsewhere.test', [alice.address, bob.address], MESSAGE);
    await mx.command('MAIL FROM:<s@elsewhere.test>');
    assert.match(await mx.command('RCPT TO:<nobody@demo.test>'), /^550/);
    assert.match(await mx.command('RCPT TO:<nobody2@demo.test>'), /^550/);
    await mx.command('RSET');
    await mx.beginMessage('s@elsewhere.test', [alice.address]);
    mx.write('Subject: x\r\n\r\nbare \n line\r\n.\r\n');
    assert.match(await mx.reply(), /^550 5\.6\.0/);

    const lmtp = await RawSmtp.connect(server.ports.lmtp, 'LHLO mta.test');
    await lmtp.send('s@elsewhere.test', [bob.address], MESSAGE);
    lmtp.destroy();

    const submission = await RawSmtp.connect(server.ports.submission);
    const plain = Buffer.from(`\0${alice.address}\0${alice.password}`).toString('base64');
    assert.match(await submission.command(`AUTH PLAIN ${plain}`), /^235/);
    submission.destroy();

    const imap = await RawImap.login(server.ports.imap, alice);
    await imap.ok('SELECT INBOX');
    await imap.ok('FETCH 1:* (FLAGS BODY.PEEK[])');
    await imap.ok('NOOP');
    await imap.ok('NOOP');
    assert.equal((await imap.command('SELECT nowhere')).status, 'NO');
    const guess = await RawImap.connect(server.ports.imap);
    assert.equal((await guess.command(`LOGIN ${bob.address} wrong`)).status, 'NO');
    await guess.ok('LOGOUT');
    guess.destroy();
    // The server sees a moment later that the client is gone.
    do await scrape();
    while (value('letterlock_connections_open', '{listener="imap"}') !== 1);
    mx.destroy();
  });
  after(() => server.stop());

  it('count connections by listener', () => {
    assert.equal(value('letterlock_connections_open', '{listener="mx"}'), 1);
    assert.equal(value('letterlock_connections_open', '{listener="imap"}'), 1);
    // The demo greets every listener once, to see that it answers.
    assert.equal(value('letterlock_connections_total', '{listener="mx"}'), 2);
    assert.equal(value('letterlock_connections_total', '{listener="lmtp"}'), 2);
    assert.equal(value('letterlock_connections_total', '{listener="imap"}'), 3);
  });

  it('count messages and refusals by listener, outcome and reason', () => {
    const messages = Object.entries(all('letterlock_smtp_messages_total')).filter(([, count]) => count > 0);
    assert.deepEqual(Object.fromEntries(messages), {
      '{listener="mx",outcome="accepted",reason=""}': 2,
      '{listener="lmtp",outcome="accepted",reason=""}': 1,
      '{listener="mx",outcome="refused",reason="bad-message"}': 1,
    });
    assert.deepEqual(all('letterlock_smtp_refusals_total'), {
      '{listener="mx",stage="rcpt",outcome="refused",reason="no-such-recipient"}': 2,
    });
    assert.equal(value('letterlock_deliveries_total'), 4);
    const octets = Object.values(all('letterlock_smtp_accepted_bytes_total')).reduce((sum, n) => sum + n, 0);
    assert.equal(octets, sentOctets);
  });

  it('count logins, and IMAP commands with their times', () => {
    assert.deepEqual(all('letterlock_logins_total'), {
      '{protocol="smtp",outcome="ok"}': 1,
      '{protocol="imap",outcome="ok"}': 1,
      '{protocol="imap",outcome="bad-credentials"}': 1,
    });
    assert.deepEqual(all('letterlock_imap_commands_total'), {
      '{command="LOGIN",condition="OK"}': 1,
      '{command="SELECT",condition="OK"}': 1,
      '{command="FETCH",condition="OK"}': 1,
      '{command="NOOP",condition="OK"}': 2,
      '{command="SELECT",condition="NO"}': 1,
      '{command="LOGIN",condition="NO"}': 1,
      '{command="LOGOUT",condition="OK"}': 1,
    });
    const times = all('letterlock_imap_command_duration_seconds');
    assert.equal(times['_count{command="LOGIN"}'], 2);
    // A wrong password is answered late: half a second.
    assert.ok(times['_sum{command="LOGIN"}']! > 0.5 && times['_sum{command="LOGIN"}']! < 30);
    assert.equal(times['_bucket{command="LOGIN",le="+Inf"}'], 2);
    assert.equal(value('letterlock_password_hashes', '{state="waiting"}'), 0);
  });

  it('count what was asked of the key service, and leases', () => {
    const calls = all('letterlock_key_service_calls_total');
    assert.ok(calls['{operation="wrap",outcome="ok"}']! >= 3);
    assert.deepEqual(
      Object.keys(calls).filter((labels) => !labels.includes('outcome="ok"')),
      [],
    );
    const granted = Object.values(all('letterlock_leases_granted_total')).reduce((sum, n) => sum + n, 0);
    assert.ok(granted >= 1);
    assert.ok(value('letterlock_leases_held')! >= 1);
    assert.equal(value('letterlock_key_use_journal_writable'), 1);
  });

  it('show the store, the disk, the certificate and the process', () => {
    const syncs = all('letterlock_accept_journal_sync_duration_seconds');
    assert.ok(value('letterlock_accept_journal_records_total')! >= syncs['_count']!);
    assert.ok(syncs['_count']! > 3);
    assert.equal(syncs['_bucket{le="+Inf"}'], syncs['_count']);
    assert.equal(value('letterlock_accept_journal_segments_in_use'), 1);
    assert.ok(value('letterlock_store_checkpoint_lag_seconds')! < 60);
    assert.ok(value('letterlock_disk_free_bytes')! > value('letterlock_disk_reserve_bytes')!);
    const { validTo } = new X509Certificate(readFileSync(join(server.data, 'tls/certificate.pem')));
    assert.equal(value('letterlock_certificate_expiry_timestamp_seconds'), Date.parse(validTo) / 1000);
    for (const part of ['store', 'accept-journal', 'keys', 'key-service', 'audit', 'certificate'])
      assert.equal(value('letterlock_part_up', `{part="${part}"}`), 1, part);
    assert.ok(value('process_resident_memory_bytes')! > 10e6);
    assert.ok(value('process_cpu_seconds_total')! > 0.1);
    assert.ok(value('process_open_fds')! > 10);
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
    const [info] = Object.keys(all('letterlock_build_info'));
    assert.ok(info!.includes(`version="${version}"`));
  });

  it('show how late the event loop is', () => {
    const delays = all('letterlock_event_loop_delay_seconds');
    assert.deepEqual(Object.keys(delays), ['{quantile="0.5"}', '{quantile="0.99"}', '{quantile="1"}']);
    assert.ok(delays['{quantile="0.5"}']! < 0.1, JSON.stringify(delays));
  });

  it('name nobody, and follow the conventions of names', () => {
    assert.doesNotMatch(text, /@|demo\.test|elsewhere|127\.0\.0\.1|[0-9a-f]{32}|canary/);
    for (const [name, { type }] of metrics) {
      assert.match(name, /^(letterlock|process|nodejs)_[a-z_]+$/);
      assert.equal(type === 'counter', name.endsWith('_total'), name);
    }
    assert.ok(text.split('\n').length < 500);
  });

  it('are nowhere else', async () => {
    assert.equal((await fetch(`http://127.0.0.1:${server.ports.http}/metrics`)).status, 404);
    assert.equal((await fetch(`http://127.0.0.1:${server.ports.metrics}/readyz`)).status, 404);
  });
});
