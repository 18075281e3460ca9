/** Placeholder signatures; see docs/format.md "Recipients". */
export type RecipientType = 'x25519' | 'mlkem768x25519';

export interface Stanza {
  readonly args: readonly string[];
  readonly body: Uint8Array;
}

/** A mailbox's public key, in age's words. */
export interface Recipient {
  readonly type: RecipientType;
  /** `age1...` (Bech32), as stock age prints it. */
  readonly encoded: string;
  /** Wraps a 16-octet file key. */
  wrap(fileKey: Uint8Array): Stanza;
}

/** A mailbox's private key. */
export interface Identity {
  readonly type: RecipientType;
  readonly recipient: Recipient;
  /** @returns the 16-octet file key, or null when the stanza is of another type or another recipient's. */
  unwrap(stanza: Stanza): Buffer | null;
}
