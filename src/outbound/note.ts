/**
 * What a queue knows of a message so far: the note, sealed at rest. docs/format.md, "Outbound queue". One state for each
 * recipient, in the order of the envelope.
 */
import { z } from 'zod';
import { storedJson } from '../delivery/stored-json.ts';
import { IntegrityError } from '../errors.ts';
import type { RecipientOutcome, RemoteReply } from './reply.ts';

export interface RecipientState {
  readonly state: 'waiting' | 'sent' | 'failed';
  readonly attempts: number;
  /** The last that was said of it; null before the first attempt. */
  readonly reply: RemoteReply | null;
  /** The sender was told, or need not be. Of what waits: of the delay. */
  readonly isReported: boolean;
  /** Of what was sent: whether the server there reports on it from now on. */
  readonly isReportedOn: boolean;
}

export interface Note {
  /** Milliseconds since 1970. */
  readonly nextAt: number;
  readonly attempts: number;
  /** Not to be sent until an administrator says so. */
  readonly isHeld: boolean;
  readonly recipients: readonly RecipientState[];
}

const VERSION = 1;
const UNREADABLE = 'The note on a queued message cannot be read';
const STATES = ['waiting', 'sent', 'failed'] as const;

const schema = z.strictObject({
  v: z.literal(VERSION),
  nextAt: z.int(),
  attempts: z.int(),
  isHeld: z.boolean(),
  // Most recipients of a message were told the same.
  replies: z.array(z.tuple([z.int().nullable(), z.string(), z.string(), z.string().nullable()])),
  /** State, attempts, number of the reply (-1: none), reported, reported on. */
  recipients: z.array(z.tuple([z.int().min(0).max(2), z.int(), z.int(), z.boolean(), z.boolean()])),
});

const NEW: RecipientState = {
  state: 'waiting',
  attempts: 0,
  reply: null,
  isReported: false,
  isReportedOn: false,
};

export const firstNote = (recipients: number, nextAt: number): Note => ({
  nextAt,
  attempts: 0,
  isHeld: false,
  recipients: new Array<RecipientState>(recipients).fill(NEW),
});

/** @param outcomes By number of the recipient; one that is not waiting any more keeps its state. */
export function withOutcomes(note: Note, outcomes: ReadonlyMap<number, RecipientOutcome>): Note {
  const recipients = note.recipients.map((known, index): RecipientState => {
    const outcome = outcomes.get(index);
    if (outcome === undefined || known.state !== 'waiting') return known;
    const { reply } = outcome;
    const attempts = known.attempts + 1;
    if (outcome.kind === 'deferred') return { ...known, attempts, reply };
    const isReportedOn = outcome.isReportedOn ?? false;
    return { state: outcome.kind, attempts, reply, isReported: false, isReportedOn };
  });
  return { ...note, recipients };
}

export function withReported(note: Note, reported: ReadonlySet<number>): Note {
  const recipients = note.recipients.map((known, index) =>
    reported.has(index) ? { ...known, isReported: true } : known,
  );
  return { ...note, recipients };
}

export function encodeNote({ nextAt, attempts, isHeld, recipients }: Note): Buffer {
  const replies = new Map<string, number>();
  const numberOf = (reply: RemoteReply | null): number => {
    if (reply === null) return -1;
    const key = JSON.stringify([reply.code, reply.status, reply.text, reply.host]);
    const known = replies.get(key);
    if (known !== undefined) return known;
    replies.set(key, replies.size);
    return replies.size - 1;
  };
  const states = recipients.map((one) => [
    STATES.indexOf(one.state),
    one.attempts,
    numberOf(one.reply),
    one.isReported,
    one.isReportedOn,
  ]);
  const said = [...replies.keys()].map((key): unknown => JSON.parse(key));
  return Buffer.from(
    JSON.stringify({ v: VERSION, nextAt, attempts, isHeld, replies: said, recipients: states }),
  );
}

/** @throws IntegrityError 'format' when the octets are no note of this version on so many recipients. */
export function decodeNote(octets: Buffer, recipients: number): Note {
  const parsed = storedJson(octets, schema, UNREADABLE);
  if (parsed.recipients.length !== recipients) throw new IntegrityError('format', UNREADABLE);
  const { nextAt, attempts, isHeld, replies } = parsed;
  const said = replies.map(([code, status, text, host]): RemoteReply => ({ code, status, text, host }));
  return {
    nextAt,
    attempts,
    isHeld,
    recipients: parsed.recipients.map(([state, tried, reply, isReported, isReportedOn]) => ({
      state: STATES[state]!,
      attempts: tried,
      reply: said[reply] ?? null,
      isReported,
      isReportedOn,
    })),
  };
}
