import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { type Acceptance, acceptStream, acceptWhole } from '../../src/delivery/acceptance.ts';
import type { HeaderRules } from '../../src/delivery/header-rules.ts';
import { traceBlock } from '../../src/delivery/trace.ts';
import { RefusedError } from '../../src/errors.ts';
import { HEADER_SECTION_OCTETS } from '../../src/limits.ts';

const TRACE = {
  returnPath: 'a@example.org',
  helo: 'h',
  remoteAddress: '192.0.2.1',
  host: 'mx.example.com',
  via: { protocol: 'ESMTP', isUtf8: false, isAuthenticated: false, tls: null },
  id: 'i',
  receivedAt: new Date(0),
  forRecipient: null,
} as const;
const BLOCK = traceBlock(TRACE);
const INBOUND: HeaderRules = {
  removesReturnPath: true,
  removesResultsOf: 'mx.example.com',
  removesBcc: false,
  completes: null,
};
const SUBMITTED: HeaderRules = {
  ...INBOUND,
  removesBcc: true,
  completes: { date: 'Thu, 01 Jan 1970 00:00:00 +0000', messageId: '<new@mx.example.com>' },
};

/** The message as it is stored, by both ways, the stream in chunks of every kind of size. */
async function accepted(message: string, rules: HeaderRules): Promise<string> {
  const acceptance: Acceptance = { trace: TRACE, rules };
  const octets = Buffer.from(message, 'latin1');
  const whole = acceptWhole(octets, acceptance).toString('latin1');
  for (const size of [1, 2, 7, octets.length + 1]) {
    async function* source() {
      for (let at = 0; at < octets.length; at += size) yield octets.subarray(at, at + size);
    }
    let streamed = '';
    for await (const chunk of await acceptStream(source(), acceptance)) streamed += chunk.toString('latin1');
    assert.equal(streamed, whole);
  }
  assert.ok(whole.startsWith(BLOCK));
  return whole.slice(BLOCK.length);
}

const isRefused = (code: string) => (error: unknown) => error instanceof RefusedError && error.code === code;

describe('acceptance', () => {
  it('prepends one block and keeps every other octet', async () => {
    for (const message of [
      '',
      '\r\n',
      '\r\nbody only\r\n',
      'Subject: x\r\n\r\n',
      'Subject:  \xe9 \r\n\t y\r\nno field at all\r\nBcc: z@example.org\r\nX : 1\r\n\r\nReturn-Path: <in@body>\r\n',
      'Subject: no empty line',
    ]) {
      assert.equal(await accepted(message, INBOUND), message);
    }
  });

  it('removes old Return-Path fields, folded ones whole', async () => {
    assert.equal(
      await accepted('RETURN-PATH:\r\n <x@y>\r\nA: 1\r\nReturn-Path : <z>\r\nB: 2\r\n\r\nbody\r\n', INBOUND),
      'A: 1\r\nB: 2\r\n\r\nbody\r\n',
    );
  });

  it('removes Authentication-Results that claim to be ours and keeps those of others', async () => {
    const forged = [
      'mx.example.com; spf=pass',
      ' (a (nested) comment) MX.Example.Com 1; dkim=pass',
      '"mx.example.com"; dkim=pass',
      'mx.example.com(x); none',
      '\r\n\tmx.example.com;\r\n\tspf=pass',
      'mx.example.com',
    ];
    const foreign = ['mx.example.org; spf=pass', 'notmx.example.com; none', 'mx.example.com.evil; none'];
    const field = (value: string) => `authentication-results: ${value}\r\n`;
    assert.equal(
      await accepted(`${forged.map(field).join('')}${foreign.map(field).join('')}\r\n`, INBOUND),
      `${foreign.map(field).join('')}\r\n`,
    );
  });

  it('removes Bcc and adds Date and Message-ID where they are missing, at submission only', async () => {
    const message =
      'From: a@example.org\r\nBcc: c@example.org,\r\n d@example.org\r\nResent-Bcc: e\r\n\r\nx\r\n';
    assert.equal(
      await accepted(message, SUBMITTED),
      'Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <new@mx.example.com>\r\nFrom: a@example.org\r\n\r\nx\r\n',
    );
    assert.equal(await accepted(message, INBOUND), message);
    const complete = 'message-id: <1@x>\r\nDATE: yesterday\r\n\r\n';
    assert.equal(await accepted(complete, SUBMITTED), complete);
  });

  it('does not let a message that begins with white space continue our last field', async () => {
    assert.equal(await accepted(' (forged)\r\nA: 1\r\n\r\n', INBOUND), '\r\n (forged)\r\nA: 1\r\n\r\n');
  });

  it('refuses a header section beyond its limit, and takes one of just that size', async () => {
    const field = (octets: number) => `X: ${'x'.repeat(octets - 5)}\r\n`;
    const header = `${field(HEADER_SECTION_OCTETS - 2)}\r\n`;
    const acceptance = { trace: TRACE, rules: INBOUND };
    assert.equal(
      acceptWhole(Buffer.from(`${header}body\r\n`), acceptance).length,
      BLOCK.length + header.length + 6,
    );
    for (const tooLarge of [`X${header}`, field(HEADER_SECTION_OCTETS + 1)]) {
      assert.throws(() => acceptWhole(Buffer.from(tooLarge), acceptance), isRefused('too-big'));
      async function* source() {
        for (let at = 0; at < tooLarge.length; at += 65_536)
          yield Buffer.from(tooLarge.slice(at, at + 65_536));
      }
      await assert.rejects(acceptStream(source(), acceptance), isRefused('too-big'));
    }
  });
});
