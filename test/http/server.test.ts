import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { type HttpListener, type HttpOptions, type Probe, startHttp } from '../../src/http/server.ts';
import { HTTP_BODY_OCTETS } from '../../src/limits.ts';

const CLIENTS = { imap: { host: 'imap.test', port: 993 }, smtp: { host: 'smtp.test', port: 465 } };
const OUTLOOK = 'http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a';

const request = (address: string, schema = OUTLOOK) =>
  `<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">
  <Request><EMailAddress>${address}</EMailAddress><AcceptableResponseSchema>${schema}</AcceptableResponseSchema></Request>
</Autodiscover>`;

describe('the HTTP listener', () => {
  let listener: HttpListener | null = null;
  const logged: object[] = [];

  async function start(probes: readonly Probe[] = [], clients: HttpOptions['clients'] = CLIENTS) {
    const log = { error: (fields: object) => void logged.push(fields) };
    listener = await startHttp({ host: '127.0.0.1', port: 0, clients, probeMs: 20 }, { probes, log });
    const base = `http://127.0.0.1:${listener.port}`;
    return (path: string, init?: RequestInit) => fetch(base + path, init);
  }
  const post = (body: string) => ({ method: 'POST', body, headers: { 'content-type': 'text/xml' } });

  afterEach(async () => {
    await listener?.close();
    listener = null;
  });

  it('is healthy while it runs, and ready when every part is', async () => {
    const get = await start([{ name: 'store', isEssential: true, isWorking: () => true }]);
    assert.equal((await get('/healthz')).status, 200);
    const ready = await get('/readyz');
    assert.equal(ready.status, 200);
    assert.deepEqual(await ready.json(), { status: 'ready' });
  });

  it('names the parts that are not ready, those that fail and those that do not answer', async () => {
    const get = await start([
      { name: 'store', isEssential: true, isWorking: () => true },
      { name: 'keys', isEssential: true, isWorking: async () => false },
      { name: 'directory', isEssential: true, isWorking: () => Promise.reject(new Error('x')) },
      { name: 'imap', isEssential: true, isWorking: () => new Promise(() => {}) },
      { name: 'audit', isEssential: false, isWorking: () => false },
    ]);
    const ready = await get('/readyz');
    assert.equal(ready.status, 503);
    assert.deepEqual(await ready.json(), {
      status: 'not ready',
      failing: ['keys', 'directory', 'imap'],
      degraded: ['audit'],
    });
    assert.equal((await get('/healthz')).status, 200);
  });

  it('stays ready without a part that it can receive without, and says which', async () => {
    const get = await start([
      { name: 'store', isEssential: true, isWorking: () => true },
      { name: 'key-service', isEssential: false, isWorking: () => false },
    ]);
    const ready = await get('/readyz');
    assert.equal(ready.status, 200);
    assert.deepEqual(await ready.json(), { status: 'ready', degraded: ['key-service'] });
  });

  it('has no metrics: a proxy may publish all of it', async () => {
    assert.equal((await (await start())('/metrics')).status, 404);
  });

  it('tells Thunderbird the servers for the domain it asks about', async () => {
    const get = await start();
    for (const path of ['/mail/config-v1.1.xml', '/.well-known/autoconfig/mail/config-v1.1.xml']) {
      const answer = await get(`${path}?emailaddress=alice%40demo.test`);
      assert.match(answer.headers.get('content-type')!, /^text\/xml/);
      const xml = await answer.text();
      assert.match(xml, /<emailProvider id="demo\.test">/);
      assert.match(xml, /<incomingServer type="imap">\s*<hostname>imap\.test<\/hostname>\s*<port>993</);
      assert.match(xml, /<outgoingServer type="smtp">\s*<hostname>smtp\.test<\/hostname>\s*<port>465</);
      assert.match(xml, /<username>%EMAILADDRESS%<\/username>/);
    }
  });

  it('does not repeat a domain that is none', async () => {
    const get = await start();
    for (const query of ['', '?emailaddress=a%40%3Cb%3E%22', '?emailaddress=a&emailaddress=b']) {
      const xml = await (await get(`/mail/config-v1.1.xml${query}`)).text();
      assert.match(xml, /<emailProvider id="imap\.test">/);
    }
  });

  it('tells Outlook the servers, however it spells the path', async () => {
    const get = await start();
    for (const path of ['/autodiscover/autodiscover.xml', '/Autodiscover/Autodiscover.xml']) {
      const answer = await get(path, post(request('alice@demo.test')));
      assert.equal(answer.status, 200);
      const xml = await answer.text();
      assert.match(xml, /<Type>IMAP<\/Type>\s*<Server>imap\.test<\/Server>\s*<Port>993</);
      assert.match(xml, /<Type>SMTP<\/Type>\s*<Server>smtp\.test<\/Server>\s*<Port>465</);
      assert.match(xml, /<LoginName>alice@demo\.test<\/LoginName>/);
      assert.match(xml, /<SPA>off<\/SPA>/);
    }
  });

  it('escapes the address that Outlook sends, and answers an error to what is none', async () => {
    const get = await start();
    const ask = async (body: string) => (await get('/autodiscover/autodiscover.xml', post(body))).text();
    assert.match(await ask(request("o'hara@demo.test")), /<LoginName>o&apos;hara@demo\.test</);
    for (const body of ['', 'x', request(''), request('a&lt;b&gt;@demo.test'), request('a@b@c')]) {
      assert.match(await ask(body), /<ErrorCode>600</, body);
    }
    assert.match(await ask(request('a@demo.test', 'urn:mobilesync')), /<ErrorCode>601</);
  });

  it('expands no entity that a request declares', async () => {
    const get = await start();
    const body = `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>${request('&x;@demo.test')}`;
    const xml = await (await get('/autodiscover/autodiscover.xml', post(body))).text();
    assert.match(xml, /<ErrorCode>600</);
  });

  it('refuses a body beyond its limit, and tells nothing of what it does not have', async () => {
    const get = await start();
    const large = await get('/autodiscover/autodiscover.xml', post('x'.repeat(HTTP_BODY_OCTETS + 1)));
    assert.equal(large.status, 413);
    const missing = await get('/secret?x=<y>');
    assert.equal(missing.status, 404);
    assert.deepEqual(await missing.json(), { error: 'not found' });
    assert.deepEqual(logged, []);
  });

  it('tells clients nothing when there is nothing to tell', async () => {
    const get = await start([], null);
    assert.equal((await get('/mail/config-v1.1.xml')).status, 404);
  });
});
