/**
 * One attempt at one message: its waiting recipients by destination, a transaction for each, the note after each, and at
 * the end what the sender is told. RFC 5321 §4.5.4.1, RFC 3461 §5.2.
 */
import { Gate } from '../delivery/gate.ts';
import type { Notify, OnwardEnvelope, OnwardRecipient } from '../delivery/onward.ts';
import type { ReportAction, ReportedRecipient } from '../delivery/report.ts';
import type { ReportedMessage, Reporter } from '../delivery/reporter.ts';
import { canonicalDomain } from '../directory/address.ts';
import { RefusedError } from '../errors.ts';
import type { MailboxId, MessageId, OrganizationId } from '../ids.ts';
import type { DkimSigner } from '../keys/dkim-keys.ts';
import { DNS_QUESTIONS_AT_ONCE, OUTBOUND_BUSY_MS, SMTP_OUT_RECIPIENTS } from '../limits.ts';
import { authorsOf } from '../message/from-field.ts';
import { fieldValues } from '../message/header.ts';
import type { StoredMessage } from '../store/types.ts';
import { SessionError, type Transaction } from './client.ts';
import type { Connections } from './connections.ts';
import { bodyHashOf, signatureFields } from './dkim.ts';
import { dsnMailParameters, dsnRecipientParameters } from './dsn-parameters.ts';
import { type Note, type RecipientState, withOutcomes, withReported } from './note.ts';
import { outcomeOf, ownReply, type RecipientOutcome } from './reply.ts';
import type { Route, Router } from './route.ts';
import { isDelayed, isExpired, nextAttempt, type Schedule } from './schedule.ts';

export interface AttemptParts {
  readonly router: Pick<Router, 'route'>;
  readonly connections: Pick<Connections, 'use' | 'isFull'>;
  readonly reporter: Pick<Reporter, 'report'>;
  /** Keys that sign for the author's domain; none: it is not signed. @throws as a lease does. */
  readonly signers: (organization: OrganizationId, author: string) => Promise<readonly DkimSigner[]>;
  readonly schedule: Schedule;
  readonly now: () => number;
  /** Lets go of the queue's keys. */
  readonly endLease: (mailbox: MailboxId) => void;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
}

export interface AttemptedMessage {
  readonly organization: OrganizationId;
  readonly id: MessageId;
  readonly envelope: OnwardEnvelope;
  readonly note: Note;
  readonly message: StoredMessage;
  /** Durable when it resolves. */
  readonly write: (note: Note) => Promise<void>;
  readonly isClosing: () => boolean;
}

export interface AttemptResult {
  /** Milliseconds since 1970; null: the message is done with. */
  readonly nextAt: number | null;
  /** Keys of the destinations that it was on the way to. */
  readonly destinations: readonly string[];
  /** Nothing was tried: all sessions to its one destination are taken. */
  readonly isPutOff: boolean;
}

/** Recipients, by number, that share a transaction. */
interface Group {
  readonly route: Route;
  readonly recipients: readonly number[];
}

/** Nothing comes of it: the attempt ends once all its questions have. */
const CLOSING: Route = { kind: 'none', reply: ownReply('4.3.2', 'The server is shutting down') };

export class Attempt {
  readonly #parts: AttemptParts;
  readonly #attempted: AttemptedMessage;
  #note: Note;
  #writing: Promise<void> = Promise.resolve();
  /** Fields in front of the message. */
  #signatures: Buffer = Buffer.alloc(0);

  constructor(parts: AttemptParts, attempted: AttemptedMessage) {
    this.#parts = parts;
    this.#attempted = attempted;
    this.#note = attempted.note;
  }

  /** @throws what opening the message throws, with all that was accepted elsewhere noted. */
  async run(): Promise<AttemptResult> {
    const groups = await this.#groups();
    if (this.#attempted.isClosing()) return { nextAt: this.#parts.now(), destinations: [], isPutOff: false };
    const destinations = groups.flatMap(({ route }) => (route.kind === 'hops' ? [route.key] : []));
    const [only, ...others] = destinations;
    const isFull = only !== undefined && others.length === 0 && this.#parts.connections.isFull(only);
    // One that expires waits for its last session in the row: put off, it would never come to its end.
    if (isFull && !this.#isExpired()) {
      return { nextAt: this.#parts.now() + OUTBOUND_BUSY_MS, destinations: [only], isPutOff: true };
    }
    const message = await this.#sendable();
    if (destinations.length > 0) this.#signatures = await this.#sign(message);
    this.#note = { ...this.#note, attempts: this.#note.attempts + 1 };
    const ends = await Promise.allSettled(groups.map((group) => this.#send(group, message)));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    if (this.#attempted.isClosing()) return { nextAt: this.#parts.now(), destinations, isPutOff: false };
    await this.#expire();
    const isAllReported = await this.#report(message);
    return { nextAt: await this.#nextAt(isAllReported), destinations, isPutOff: false };
  }

  // --- Where to ---

  async #groups(): Promise<Group[]> {
    const byDomain = new Map<string, number[]>();
    for (const [index, { address }] of this.#recipients()) {
      if (this.#note.recipients[index]!.state !== 'waiting') continue;
      const domain = address.slice(address.lastIndexOf('@') + 1).toLowerCase();
      const known = byDomain.get(domain);
      if (known === undefined) byDomain.set(domain, [index]);
      else known.push(index);
    }
    const questions = new Gate(DNS_QUESTIONS_AT_ONCE);
    const { organization } = this.#attempted;
    const routes = await Promise.all(
      [...byDomain].map(async ([domain, recipients]) => {
        const route = await questions.pass(async () =>
          this.#attempted.isClosing() ? CLOSING : this.#parts.router.route(organization, domain),
        );
        return { route, recipients };
      }),
    );
    return inTransactions(routes);
  }

  *#recipients(): Generator<[index: number, recipient: OnwardRecipient]> {
    yield* this.#attempted.envelope.recipients.entries();
  }

  // --- Sending ---

  /** Without the Return-Path that we wrote for our own mailboxes: RFC 5321 §4.4 has the last server write it. */
  async #sendable(): Promise<ReportedMessage> {
    const { message, envelope } = this.#attempted;
    const { parts } = await message.digest();
    const section = await message.read(0, parts[0]?.bodyStart ?? 0);
    const returnPath = Buffer.from(`Return-Path: <${envelope.reversePath}>\r\n`);
    const skipped = section.subarray(0, returnPath.length).equals(returnPath) ? returnPath.length : 0;
    return {
      envelope,
      sizeOctets: message.sizeOctets - skipped,
      header: section.subarray(skipped),
      octets: () => message.octets(skipped),
    };
  }

  /**
   * One pass over the body, before the one that sends it. Signed is what a user of ours submitted, whose From submission
   * has checked, and what we made: a stranger's mail to a group may claim any From, and our signature would vouch for it.
   */
  async #sign(message: ReportedMessage): Promise<Buffer> {
    const { submitter, isMadeHere } = this.#attempted.envelope;
    if (submitter === null && !isMadeHere) return Buffer.alloc(0);
    const domain = authorDomain(message.header);
    const signers = domain === null ? [] : await this.#parts.signers(this.#attempted.organization, domain);
    if (signers.length === 0) return Buffer.alloc(0);
    const { message: stored } = this.#attempted;
    const body = stored.octets(stored.sizeOctets - message.sizeOctets + message.header.length);
    const fields = signatureFields(
      message.header,
      await bodyHashOf(body),
      signers,
      new Date(this.#parts.now()),
    );
    return Buffer.from(fields, 'latin1');
  }

  async *#signed(message: ReportedMessage): AsyncGenerator<Buffer> {
    if (this.#signatures.length > 0) yield this.#signatures;
    yield* message.octets();
  }

  async #send({ route, recipients }: Group, message: ReportedMessage): Promise<void> {
    const all = (outcome: RecipientOutcome) => new Map(recipients.map((index) => [index, outcome]));
    if (route.kind === 'none') return this.#record(all(outcomeOf(route.reply)));
    if (this.#attempted.isClosing()) return;
    try {
      await this.#parts.connections.use(this.#attempted.organization, route, async (client) => {
        const outcomes = await client.send(this.#transaction(recipients, message));
        const byIndex = recipients.map((index): [number, RecipientOutcome] => [
          index,
          outcomes.get(this.#attempted.envelope.recipients[index]!.address)!,
        ]);
        // Before the session is used for anything else.
        await this.#record(new Map(byIndex));
      });
    } catch (error) {
      if (!(error instanceof SessionError)) throw error;
      // Broken off by us, who are to end: the next start begins with it.
      if (this.#attempted.isClosing()) return;
      await this.#record(all(outcomeOf(error.reply)));
    }
  }

  #transaction(recipients: readonly number[], message: ReportedMessage): Transaction {
    const { envelope } = this.#attempted;
    const to = recipients.map((index) => envelope.recipients[index]!);
    const needsUtf8 =
      envelope.isUtf8 &&
      [message.header.toString('latin1'), envelope.reversePath, ...to.map(({ address }) => address)].some(
        (text) => /[^\0-\x7f]/.test(text),
      );
    return {
      reversePath: envelope.reversePath,
      recipients: to.map((recipient) => ({
        address: recipient.address,
        parameters: dsnRecipientParameters(recipient),
      })),
      parameters: dsnMailParameters(envelope),
      needsUtf8,
      sizeOctets: this.#signatures.length + message.sizeOctets,
      octets: () => this.#signed(message),
    };
  }

  // --- What became of it ---

  /** Durable when it resolves; one after the other, each with all before it. */
  #record(outcomes: ReadonlyMap<number, RecipientOutcome>): Promise<void> {
    const next = this.#writing.then(async () => {
      this.#note = this.#withoutNeedless(withOutcomes(this.#note, outcomes));
      this.#log(outcomes);
      await this.#attempted.write(this.#note);
    });
    this.#writing = next.catch(() => undefined);
    return next;
  }

  /** What nobody is to be told of counts as told. */
  #withoutNeedless(note: Note): Note {
    const needless = new Set<number>();
    for (const [index, recipient] of this.#recipients()) {
      const { state, isReportedOn } = note.recipients[index]!;
      if (state === 'sent' && (isReportedOn || !this.#wants(recipient, 'SUCCESS'))) needless.add(index);
      if (state === 'failed' && !this.#wants(recipient, 'FAILURE')) needless.add(index);
    }
    return withReported(note, needless);
  }

  /** RFC 3461 §4.1: without NOTIFY failures are reported, and delays may be. */
  #wants({ notify }: OnwardRecipient, event: Notify): boolean {
    if (this.#attempted.envelope.reversePath === '') return false;
    return notify === null ? event !== 'SUCCESS' : notify.includes(event);
  }

  #isExpired(): boolean {
    const { arrivedAt } = this.#attempted.envelope;
    return isExpired(this.#parts.schedule, { arrivedAt, now: this.#parts.now() });
  }

  async #expire(): Promise<void> {
    if (!this.#isExpired()) return;
    const expired = new Map<number, RecipientOutcome>();
    for (const [index, { state, reply }] of this.#note.recipients.entries()) {
      if (state !== 'waiting') continue;
      const last = reply ?? ownReply('4.4.7', 'It was tried for too long');
      expired.set(index, { kind: 'failed', reply: { ...last, status: '4.4.7' } });
    }
    if (expired.size > 0) await this.#record(expired);
  }

  /** @returns whether there is nothing left that somebody has to be told. */
  async #report(message: ReportedMessage): Promise<boolean> {
    const { envelope, organization, id } = this.#attempted;
    const age = { arrivedAt: envelope.arrivedAt, now: this.#parts.now() };
    const isLate = isDelayed(this.#parts.schedule, age);
    const wanted: readonly [ReportAction, (state: RecipientState, recipient: OnwardRecipient) => boolean][] =
      [
        ['failed', ({ state }) => state === 'failed'],
        ['relayed', ({ state }) => state === 'sent'],
        [
          'delayed',
          ({ state }, recipient) => state === 'waiting' && isLate && this.#wants(recipient, 'DELAY'),
        ],
      ];
    const until = new Date(envelope.arrivedAt + this.#parts.schedule.expiryMs);
    const reported = new Set<number>();
    try {
      for (const [action, isMeant] of wanted) {
        const meant = [...this.#recipients()].filter(([index, recipient]) => {
          const state = this.#note.recipients[index]!;
          return !state.isReported && isMeant(state, recipient);
        });
        const recipients = asReported(
          meant.map(([index, recipient]) => ({ ...recipient, reply: this.#note.recipients[index]!.reply })),
        );
        await this.#parts.reporter.report(organization, message, action, recipients, until);
        for (const [index] of meant) reported.add(index);
      }
      return true;
    } catch (error) {
      this.#parts.log.warn({ organization, message: id, err: error }, 'a report could not be delivered yet');
      return false;
    } finally {
      this.#note = withReported(this.#note, reported);
    }
  }

  async #nextAt(isAllReported: boolean): Promise<number | null> {
    const isWaiting = this.#note.recipients.some(({ state }) => state === 'waiting');
    if (!isWaiting && isAllReported) return null;
    const { envelope } = this.#attempted;
    const { attempts } = this.#note;
    const now = this.#parts.now();
    const at = { arrivedAt: envelope.arrivedAt, attempts, now };
    // For a report too that could not be delivered: servers are not asked sooner for it, and whose box stays closed to us
    // costs an attempt every few hours.
    const nextAt = nextAttempt(this.#parts.schedule, at, Math.random());
    this.#note = { ...this.#note, nextAt };
    await this.#attempted.write(this.#note);
    return nextAt;
  }

  /** Codes, counts and ids: no address, and no words of a server. */
  #log(outcomes: ReadonlyMap<number, RecipientOutcome>): void {
    const { organization, id, envelope } = this.#attempted;
    const counts = { sent: 0, deferred: 0, failed: 0 };
    const statuses = new Set<string>();
    for (const { kind, reply } of outcomes.values()) {
      counts[kind]++;
      if (kind !== 'sent') statuses.add(reply.status);
    }
    const fields = { organization, message: id, received: envelope.id, ...counts };
    const reasons = statuses.size === 0 ? {} : { statuses: [...statuses] };
    this.#parts.log.info({ ...fields, ...reasons }, 'message sent on');
  }
}

/** Members of a group stand together under its address, without the words of a server that may name them. */
function asReported(
  recipients: readonly (OnwardRecipient & Pick<ReportedRecipient, 'reply'>)[],
): ReportedRecipient[] {
  const groups = new Set<string>();
  return recipients.flatMap(({ address, originalRecipient, reportedAs, reply }) => {
    if (reportedAs === null) return [{ address, originalRecipient, reply }];
    if (groups.has(reportedAs)) return [];
    groups.add(reportedAs);
    const text = 'A member of the group could not be reached';
    const anonymous = reply === null ? null : ownReply(reply.status, text);
    return [{ address: reportedAs, originalRecipient, reply: anonymous }];
  });
}

/** Of the one author; null where there is not exactly one From field, or several authors. */
function authorDomain(header: Buffer): string | null {
  const [from, ...others] = fieldValues(header, 'from');
  if (from === undefined || others.length > 0) return null;
  try {
    const [author, ...more] = authorsOf(from);
    if (author === undefined || more.length > 0) return null;
    return canonicalDomain(Buffer.from(author.slice(author.lastIndexOf('@') + 1), 'latin1').toString('utf8'));
  } catch (error) {
    if (error instanceof RefusedError) return null;
    throw error;
  }
}

/** One group for each route, in transactions of as many recipients as every server takes. */
function inTransactions(routes: readonly Group[]): Group[] {
  const merged = new Map<string, { route: Route; recipients: number[] }>();
  const groups: Group[] = [];
  for (const { route, recipients } of routes) {
    if (route.kind === 'none') {
      groups.push({ route, recipients });
      continue;
    }
    const known = merged.get(route.key);
    if (known === undefined) merged.set(route.key, { route, recipients: [...recipients] });
    else known.recipients.push(...recipients);
  }
  for (const { route, recipients } of merged.values()) {
    for (let from = 0; from < recipients.length; from += SMTP_OUT_RECIPIENTS) {
      groups.push({ route, recipients: recipients.slice(from, from + SMTP_OUT_RECIPIENTS) });
    }
  }
  return groups;
}
