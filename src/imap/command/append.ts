/**
 * APPEND, RFC 9051 §6.3.12; several messages at once, RFC 3502; APPENDUID, RFC 4315 §3; APPENDLIMIT, RFC 7889. The octets
 * go from the wire into the seal as they come, and are kept as they came.
 *
 * All messages of a command are placed in one durable step, or none is. Those before the last wait sealed, bounded by
 * IMAP_MULTIAPPEND_OCTETS for the command and IMAP_WAITING_OCTETS for the server; whatever goes wrong, they are discarded.
 */
import { RefusedError } from '../../errors.ts';
import { IMAP_MULTIAPPEND_OCTETS } from '../../limits.ts';
import type { AppendItem, MessageFlags, QuotaUsage } from '../../store/types.ts';
import type { AppendCommand, AppendMessage } from '../wire/ast.ts';
import { appendUidCode } from '../wire/response-code.ts';
import { AUTHENTICATED, type CommandContext, type CommandSpec, ok } from './context.ts';
import { parseFlags } from './flags.ts';
import { requireTarget } from './target.ts';

export const append: CommandSpec<AppendCommand> = {
  states: AUTHENTICATED,
  async run(command, context) {
    const { incoming, dependencies, mailbox } = context;
    if (incoming === null) throw new Error('APPEND without its literals');
    const batch = new AppendBatch(context);
    const items: AppendItem[] = [];
    try {
      // All that can be refused is refused before the client is asked for the octets.
      let flags = batch.add(incoming.first);
      const target = await requireTarget(context, command.mailbox.name);
      const usage = await mailbox.quota();
      for (let next: AppendMessage | null = incoming.first; next !== null; ) {
        batch.assertQuota(usage);
        const message = await dependencies.sealMessage(incoming.receive());
        items.push({ message, flags, internalDate: next.internalDate ?? new Date() });
        next = await incoming.next();
        if (next !== null) flags = batch.add(next);
      }
      const { uidValidity, uids } = await mailbox.append(target.id, items, context.origin);
      for (const { message } of items) message.forget();
      return ok('Append completed.', appendUidCode(uidValidity, uids));
    } catch (error) {
      for (const { message } of items) await dependencies.discardSealed(message);
      throw error;
    } finally {
      batch.end();
    }
  },
};

/** What the messages of one command come to, as they are announced. */
class AppendBatch {
  readonly #context: CommandContext;
  readonly #releases: (() => void)[] = [];
  #sizeOctets = 0;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  /** @returns the message's flags. @throws what the message is refused with, and with it the whole command. */
  add({ flags, message }: AppendMessage): MessageFlags {
    const parsed = parseFlags(flags);
    if (message.kind !== 'streamed') throw new Error('a message that was buffered');
    const { sizeOctets } = message;
    // RFC 3502 §6.3.11: a client that has begun and cannot go on says {0}, and nothing is appended.
    if (sizeOctets === 0) throw new RefusedError('cannot', 'A message has at least one octet.');
    if (sizeOctets > this.#context.appendLimitOctets) {
      throw new RefusedError('too-big', 'The message is larger than APPENDLIMIT.');
    }
    const isFirst = this.#sizeOctets === 0;
    this.#sizeOctets += sizeOctets;
    if (!isFirst) {
      if (this.#sizeOctets > IMAP_MULTIAPPEND_OCTETS) {
        throw new RefusedError('too-big', 'The messages of one APPEND are too large together.');
      }
      this.#releases.push(this.#context.claimWaiting(sizeOctets));
    }
    return parsed;
  }

  /** The store counts once more when it takes them; here the client is spared the octets. */
  assertQuota({ storageOctets, storageLimitOctets }: QuotaUsage): void {
    if (storageLimitOctets !== null && storageOctets + this.#sizeOctets > storageLimitOctets) {
      throw new RefusedError('over-quota', 'The mailbox is full.');
    }
  }

  end(): void {
    for (const release of this.#releases) release();
  }
}
