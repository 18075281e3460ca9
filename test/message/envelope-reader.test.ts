import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { EMPTY_ENVELOPE } from '../../src/message/entity.ts';
import { readEnvelope } from '../../src/message/envelope-reader.ts';
import { imapEnvelope } from '../../src/message/imap-envelope.ts';

describe('an ENVELOPE that is read back', () => {
  it('has the first address of each field, with names and subject decoded', () => {
    const envelope = imapEnvelope({
      ...EMPTY_ENVELOPE,
      date: 'Mon, 23 Nov 2026 10:00:00 +0000',
      subject: '=?utf-8?q?Gr=C3=BC=C3=9Fe?= "an" \\ alle',
      from: ['=?utf-8?q?J=C3=BCrgen?= <j@example.org>, b@example.org'],
      to: ['Team: a@example.org;'],
      cc: ['bare@example.org'],
    });
    assert.deepEqual(readEnvelope(envelope), {
      date: 'Mon, 23 Nov 2026 10:00:00 +0000',
      subject: 'Grüße "an" \\ alle',
      from: { name: 'Jürgen', mailbox: 'j', host: 'example.org' },
      to: { name: '', mailbox: 'Team', host: '' },
      cc: { name: '', mailbox: 'bare', host: 'example.org' },
    });
  });

  it('may lack everything', () => {
    const nothing = { date: '', subject: '', from: null, to: null, cc: null };
    assert.deepEqual(readEnvelope(imapEnvelope(EMPTY_ENVELOPE)), nothing);
  });

  it('has the subject that was written, whatever octets it holds', () => {
    const octets = fc.uint8Array({ maxLength: 1_200 }).map((bytes) =>
      Buffer.from(bytes)
        .toString('latin1')
        .replace(/[\0=\r\n]/g, '"'),
    );
    fc.assert(
      fc.property(octets, (date) => {
        assert.equal(readEnvelope(imapEnvelope({ ...EMPTY_ENVELOPE, date })).date, date);
      }),
    );
  });
});
