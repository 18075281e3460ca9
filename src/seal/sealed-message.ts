/**
 * A message on its way into mailboxes: sealed once, addressed to each. docs/format.md "A message". The file key exists in
 * the MessageSealer and the SealedMessage it becomes, nowhere else, until one of them forgets it.
 */
import { randomBytes } from 'node:crypto';
import type { MessageId } from '../ids.ts';
import { INLINE_BODY_OCTETS } from '../limits.ts';
import { BodySealer } from './body.ts';
import { sealHeader } from './header.ts';
import { openObject, sealObject } from './object.ts';
import { FILE_KEY_OCTETS } from './primitives.ts';
import type { Recipient } from './recipient.ts';

/** Sealed octets of a body: in memory when small, else in a spool file that the store takes over (rename or copy). */
export type SealedBody =
  | { readonly kind: 'memory'; readonly octets: Buffer }
  | { readonly kind: 'file'; readonly path: string; readonly sizeOctets: number };

/** A message whose body is sealed under a file key that only this object holds, until `forget`. */
export interface SealedMessage {
  readonly id: MessageId;
  /** Clear octets, trace headers included. */
  readonly sizeOctets: number;
  readonly body: SealedBody;
  /** The two per-mailbox objects: age header (file key wrapped for `recipient`) and the sealed digest. */
  addressTo(mailbox: { mailbox: string; epoch: number; recipient: Recipient }): {
    header: Buffer;
    digest: Buffer;
  };
  /** To whom the message goes on from a queue: opens for who opens the header there. Stays the caller's. */
  sealEnvelope(queue: { mailbox: string; epoch: number }, envelope: Uint8Array): Buffer;
  /** Zeroes file key and digest. Afterwards addressTo and sealEnvelope throw. */
  forget(): void;
}

/** Where a body goes that is too large for memory. Written to only then, so that it may make its file on first use. */
export interface BodySpool {
  readonly path: string;
  /** Takes sealed octets, in order. Resolves when it wants more. */
  write(octets: Buffer): Promise<void>;
}

/**
 * Makes one SealedMessage: push the message's octets, `end` it, `finish` it with the digest that was made of them and of
 * the frame table. Calls must not overlap. Whoever gives up in between calls `forget`.
 */
export class MessageSealer {
  readonly id: MessageId;
  readonly #fileKey = new FileKey();
  readonly #body: BodySealer;
  readonly #spool: BodySpool;
  #collected: Buffer[] = [];
  #bodyOctets = 0;
  #isSpooled = false;

  constructor(options: { id: MessageId; spool: BodySpool }) {
    this.id = options.id;
    this.#spool = options.spool;
    this.#body = new BodySealer(this.#fileKey.octets, (octets) => this.#take(octets));
  }

  /** Clear octets pushed so far. */
  get sizeOctets(): number {
    return this.#body.sizeOctets;
  }

  /** Keeps no reference to `clear` once it resolved. @throws what the spool throws. */
  push(clear: Uint8Array): Promise<void> {
    return this.#body.push(clear);
  }

  /** Ends the body. @returns its frame table, for the digest. @throws what the spool throws. */
  end(): Promise<readonly number[]> {
    return this.#body.end();
  }

  /** @param digest The encoded digest, which the sealed message owns from here on and zeroes when it forgets. */
  finish(digest: Buffer): SealedMessage {
    const body: SealedBody = this.#isSpooled
      ? { kind: 'file', path: this.#spool.path, sizeOctets: this.#bodyOctets }
      : { kind: 'memory', octets: joined(this.#collected) };
    return sealedMessage(this.id, this.sizeOctets, body, this.#fileKey, digest);
  }

  /** Zeroes the file key, of a finished message too: what was sealed and not addressed cannot be opened any more. */
  forget(): void {
    this.#fileKey.forget();
    this.#collected = [];
  }

  async #take(octets: Buffer): Promise<void> {
    this.#bodyOctets += octets.length;
    if (!this.#isSpooled) {
      this.#collected.push(octets);
      if (this.#bodyOctets <= INLINE_BODY_OCTETS) return;
      this.#isSpooled = true;
      for (const collected of this.#collected) await this.#spool.write(collected);
      this.#collected = [];
      return;
    }
    await this.#spool.write(octets);
  }
}

/**
 * Opens a digest where it lies.
 * @returns the encoded digest; the caller owns it.
 * @throws IntegrityError 'seal-broken' when it was changed or belongs to another mailbox, message or epoch.
 */
export const openDigest = (
  fileKey: Uint8Array,
  place: { mailbox: string; message: MessageId; epoch: number },
  sealed: Uint8Array,
): Buffer => openObject(fileKey, 'digest', [place.mailbox, place.message, place.epoch], sealed);

const joined = (parts: readonly Buffer[]): Buffer => (parts.length === 1 ? parts[0]! : Buffer.concat(parts));

/** Throws once it was forgotten: what is sealed under zeros is anyone's to open. */
class FileKey {
  readonly #octets = randomBytes(FILE_KEY_OCTETS);
  #isForgotten = false;

  get octets(): Uint8Array {
    if (this.#isForgotten) throw new Error('The file key was forgotten.');
    return this.#octets;
  }

  forget(): void {
    this.#isForgotten = true;
    this.#octets.fill(0);
  }
}

const sealedMessage = (
  id: MessageId,
  sizeOctets: number,
  body: SealedBody,
  fileKey: FileKey,
  digest: Buffer,
): SealedMessage => ({
  id,
  sizeOctets,
  body,
  addressTo: ({ mailbox, epoch, recipient }) => ({
    header: sealHeader(fileKey.octets, [recipient]),
    digest: sealObject(fileKey.octets, 'digest', [mailbox, id, epoch], digest),
  }),
  sealEnvelope: ({ mailbox, epoch }, envelope) =>
    sealObject(fileKey.octets, 'queue-envelope', [mailbox, id, epoch], envelope),
  forget() {
    fileKey.forget();
    digest.fill(0);
  },
});
