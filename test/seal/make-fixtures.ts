/**
 * Writes one frozen example for each recipient type into fixtures/: `node test/seal/make-fixtures.ts v1`. Run once for
 * each format version, never again: what it wrote must open forever, so it does not overwrite.
 */
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { newMailboxId, newMessageId } from '../../src/ids.ts';
import { FRAME_OCTETS } from '../../src/limits.ts';
import { sealObject } from '../../src/seal/object.ts';
import {
  encodeIdentity,
  generateIdentitySeed,
  identityFromSeed,
  type RecipientType,
} from '../../src/seal/recipient.ts';
import { MessageSealer } from '../../src/seal/sealed-message.ts';
import type { FrozenMailbox } from './fixture.ts';
import { TYPES, text } from './support.ts';

const MESSAGES: readonly [what: string, octets: Buffer][] = [
  ['empty', Buffer.alloc(0)],
  ['one frame of one raw block', Buffer.from('Subject: frozen\r\n\r\nMust open forever.\r\n')],
  ['one compressed frame', text(100_000)],
  ['a compressed frame, then a raw one', Buffer.concat([text(FRAME_OCTETS), randomBytes(1000)])],
];

const version = process.argv[2];
if (version === undefined || !/^v\d+$/.test(version)) {
  throw new Error('Say which format version to freeze, such as v1.');
}
for (const type of TYPES) {
  const path = new URL(`./fixtures/${version}-${type}.json`, import.meta.url);
  writeFileSync(path, `${JSON.stringify(await freeze(type), null, 2)}\n`, { flag: 'wx' });
}

async function freeze(type: RecipientType): Promise<FrozenMailbox> {
  const seed = generateIdentitySeed();
  const { recipient } = identityFromSeed(type, seed);
  const mailbox = newMailboxId();
  const epoch = 1;
  const indexKey = randomBytes(32);
  const names = [
    { purpose: 'folder-name', number: 7, clear: 'Projekte\u0000Brücke' },
    { purpose: 'subscription-name', number: 3, clear: 'Gone' },
    { purpose: 'keyword-name', number: 1, clear: '$Forwarded' },
  ] as const;
  const messages = [];
  for (const [what, octets] of MESSAGES) {
    const spool = { path: '', write: () => Promise.reject(new Error('A frozen message is small.')) };
    const sealer = new MessageSealer({ id: newMessageId(), spool });
    await sealer.push(octets);
    const frames = await sealer.end();
    const digest = JSON.stringify([1, octets.length, frames]);
    const sealed = sealer.finish(Buffer.from(digest));
    if (sealed.body.kind !== 'memory') throw new Error('A frozen message is small.');
    const addressed = sealed.addressTo({ mailbox, epoch, recipient });
    messages.push({
      what,
      id: sealed.id,
      sizeOctets: sealed.sizeOctets,
      sha256: createHash('sha256').update(octets).digest('hex'),
      frames,
      digest,
      header: addressed.header.toString('base64'),
      body: sealed.body.octets.toString('base64'),
      sealedDigest: addressed.digest.toString('base64'),
    });
  }
  return {
    type,
    identity: encodeIdentity(type, seed),
    seed: seed.toString('hex'),
    recipient: recipient.encoded,
    mailbox,
    epoch,
    indexKey: indexKey.toString('hex'),
    sealedIndexKey: sealObject(seed, 'index-key', [mailbox, epoch], indexKey).toString('base64'),
    names: names.map(({ purpose, number, clear }) => ({
      purpose,
      number,
      clear,
      sealed: sealObject(indexKey, purpose, [mailbox, epoch, number], Buffer.from(clear)).toString('base64'),
    })),
    messages,
  };
}
