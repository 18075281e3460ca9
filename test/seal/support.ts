/** What the suites of this folder share: whole messages sealed in one call, and bodies in memory as sources. */
import { randomBytes } from 'node:crypto';
import type { IntegrityCode } from '../../src/errors.ts';
import { IntegrityError } from '../../src/errors.ts';
import { BodySealer, type BodySource } from '../../src/seal/body.ts';
import { sealHeader } from '../../src/seal/header.ts';
import {
  generateIdentitySeed,
  type Identity,
  identityFromSeed,
  type RecipientType,
} from '../../src/seal/recipient.ts';

export const TYPES = ['x25519', 'mlkem768x25519'] as const satisfies readonly RecipientType[];

export const newIdentity = (type: RecipientType): Identity => identityFromSeed(type, generateIdentitySeed());

export const memorySource = (body: Buffer): BodySource => ({
  sizeOctets: body.length,
  read: async (offset, length) => body.subarray(offset, offset + length),
});

export async function collect(octets: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of octets) parts.push(part);
  return Buffer.concat(parts);
}

/** Seals a body in pushes of the given sizes, the last repeated; all at once by default. */
export async function sealBody(
  fileKey: Uint8Array,
  message: Uint8Array,
  pushes: readonly number[] = [message.length],
): Promise<{ body: Buffer; frames: number[] }> {
  const parts: Buffer[] = [];
  const sealer = new BodySealer(fileKey, (octets) => void parts.push(octets));
  for (let at = 0, i = 0; at < message.length; i++) {
    const octets = Math.max(1, pushes[Math.min(i, pushes.length - 1)]!);
    await sealer.push(message.subarray(at, at + octets));
    at += octets;
  }
  const frames = await sealer.end();
  return { body: Buffer.concat(parts), frames };
}

/** A whole age file, as `header || body`. */
export async function sealFile(message: Uint8Array, identity: Identity) {
  const fileKey = randomBytes(16);
  const header = sealHeader(fileKey, [identity.recipient]);
  const { body, frames } = await sealBody(fileKey, message);
  return { fileKey, header, body, frames, file: Buffer.concat([header, body]) };
}

/** Octets that compress well, and are nowhere the same. */
export function text(octets: number): Buffer {
  let out = '';
  for (let i = 0; out.length < octets; i++)
    out += `Line ${i}: the quick brown fox jumps over the lazy dog.\r\n`;
  return Buffer.from(out.slice(0, octets));
}

export const broken =
  (...codes: IntegrityCode[]) =>
  (error: unknown): boolean =>
    error instanceof IntegrityError && (codes.length === 0 || codes.includes(error.code));
