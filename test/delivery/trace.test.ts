import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { refuseLoop, type TraceFacts, traceBlock, withWord } from '../../src/delivery/trace.ts';
import { RefusedError } from '../../src/errors.ts';
import { RECEIVED_FIELDS } from '../../src/limits.ts';
import { parseHeader } from '../../src/message/header.ts';

const FACTS: TraceFacts = {
  returnPath: 'alice@example.org',
  helo: 'mail.example.org',
  remoteAddress: '192.0.2.1',
  host: 'mx.example.com',
  via: { protocol: 'ESMTP', isUtf8: false, isAuthenticated: false, tls: null },
  id: 'abc.1',
  receivedAt: new Date('2026-11-03T04:05:06Z'),
  forRecipient: null,
};

describe('trace block', () => {
  it('is a Return-Path and a Received field of RFC 5321 §4.4', () => {
    assert.equal(
      traceBlock(FACTS),
      'Return-Path: <alice@example.org>\r\n' +
        'Received: from mail.example.org ([192.0.2.1])\r\n' +
        '\tby mx.example.com with ESMTP id abc.1; Tue, 03 Nov 2026 04:05:06 +0000\r\n',
    );
  });

  it('names a single recipient, TLS, an IPv6 client, and the null reverse-path', () => {
    const via = {
      ...FACTS.via,
      isAuthenticated: true,
      tls: { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' },
    };
    assert.equal(
      traceBlock({
        ...FACTS,
        returnPath: '',
        remoteAddress: '2001:db8::1',
        via,
        forRecipient: 'bob@example.com',
      }),
      'Return-Path: <>\r\n' +
        'Received: from mail.example.org ([IPv6:2001:db8::1])\r\n' +
        '\tby mx.example.com with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384) id abc.1\r\n' +
        '\tfor <bob@example.com>; Tue, 03 Nov 2026 04:05:06 +0000\r\n',
    );
  });

  it('does not let the client write into it', () => {
    const block = traceBlock({ ...FACTS, helo: 'a) by b; (é\r\nX: y' });
    assert.match(block, /from a\?\?by\?b\?\?\?\?\?\?X:\?y \(\[192/);
    assert.match(traceBlock({ ...FACTS, helo: '' }), /from unknown \(/);
  });

  it('uses the registered names of transmission types', () => {
    const tls = { version: '', cipher: '' };
    const via = FACTS.via;
    assert.equal(withWord({ ...via, protocol: 'SMTP' }), 'SMTP');
    assert.equal(withWord({ ...via, tls }), 'ESMTPS');
    assert.equal(withWord({ ...via, isAuthenticated: true }), 'ESMTPA');
    assert.equal(withWord({ ...via, protocol: 'LMTP', tls }), 'LMTPS');
    assert.equal(withWord({ ...via, protocol: 'LMTP', isUtf8: true }), 'UTF8LMTP');
    assert.equal(withWord({ ...via, isUtf8: true, tls, isAuthenticated: true }), 'UTF8SMTPSA');
  });
});

describe('loop detection', () => {
  const received = (count: number) =>
    parseHeader(Buffer.from('RECEIVED : from a\r\n\tby b\r\n'.repeat(count)));

  it(`refuses a message with ${RECEIVED_FIELDS} Received fields, and takes one with fewer`, () => {
    refuseLoop(received(RECEIVED_FIELDS - 1));
    assert.throws(
      () => refuseLoop(received(RECEIVED_FIELDS)),
      (error) => error instanceof RefusedError && error.code === 'mail-loop',
    );
  });
});
