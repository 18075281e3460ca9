import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { MemoryBudget, Spool } from '../../src/delivery/spool.ts';
import { KIB, MIB, SMTP_SWALLOW_OCTETS, SPOOL_BLOCK_OCTETS } from '../../src/limits.ts';
import { receive } from '../../src/smtp/receive.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

const dataStream = () => Object.assign(new PassThrough(), { byteLength: 0, sizeExceeded: false });

describe('receiving DATA', () => {
  let directory: string;
  let spool: Spool;
  beforeEach(async () => {
    directory = await makeScratch('receive');
    spool = new Spool({ directory, budget: new MemoryBudget(0) });
  });
  afterEach(async () => {
    await spool.close();
    await removeScratch(directory);
  });

  const start = (stream: ReturnType<typeof dataStream>, onEndless = () => {}) =>
    receive(stream, { spool, newlines: 'refuse', onEndless });

  for (const last of [1, SPOOL_BLOCK_OCTETS, SPOOL_BLOCK_OCTETS + 1, 5 * SPOOL_BLOCK_OCTETS]) {
    it(`waits for the file also when the last piece, of ${last} octets, comes with the end`, async () => {
      const message = Buffer.from(randomBytes(SPOOL_BLOCK_OCTETS + last).map((octet) => octet | 0x80));
      const stream = dataStream();
      const received = start(stream);
      stream.write(message.subarray(0, SPOOL_BLOCK_OCTETS));
      stream.end(message.subarray(SPOOL_BLOCK_OCTETS));
      await received;
      const chunks: Buffer[] = [];
      for await (const chunk of spool.chunks()) chunks.push(chunk);
      assert.ok(Buffer.concat(chunks).equals(message));
    });
  }

  it('takes no more from the client than the file does', async () => {
    const stream = dataStream();
    const received = start(stream);
    let isWaiting = false;
    for (let sent = 0; sent < 100; sent++) isWaiting = !stream.write(Buffer.alloc(64 * KIB)) || isWaiting;
    assert.ok(isWaiting);
    assert.ok(spool.sizeOctets < MIB);
    stream.end();
    await received;
    assert.equal(spool.sizeOctets, 6_400 * KIB);
  });

  it('ends with cut-short when the client leaves, and with the failure when the disk is full', async () => {
    const left = dataStream();
    const cut = start(left);
    left.write('half');
    setImmediate(() => left.destroy());
    await assert.rejects(cut, { code: 'cut-short' });
    await rm(directory, { recursive: true });
    const stream = dataStream();
    const received = start(stream);
    for (let sent = 0; sent < 10; sent++) stream.write(Buffer.alloc(64 * KIB));
    stream.end();
    await assert.rejects(received, { code: 'disk-full' });
  });

  it('does not read an oversized message for ever', async () => {
    const stream = dataStream();
    let isEndless = false;
    const received = start(stream, () => {
      isEndless = true;
    });
    stream.sizeExceeded = true;
    stream.byteLength = SMTP_SWALLOW_OCTETS;
    stream.write('x');
    await new Promise(setImmediate);
    assert.equal(isEndless, false);
    stream.byteLength = SMTP_SWALLOW_OCTETS + 1;
    stream.end('x');
    await assert.rejects(received, { code: 'too-big' });
    assert.equal(isEndless, true);
  });
});
