/**
 * APPEND, RFC 9051 §6.3.12; APPENDUID, RFC 4315 §3; APPENDLIMIT, RFC 7889. The message's octets go from the wire into
 * the seal as they come, and are kept as they came.
 */
import { RefusedError } from '../../errors.ts';
import type { AppendCommand } from '../wire/ast.ts';
import { appendUidCode } from '../wire/response-code.ts';
import { AUTHENTICATED, type CommandSpec, ok } from './context.ts';
import { parseFlags } from './flags.ts';
import { requireTarget } from './target.ts';

export const append: CommandSpec<AppendCommand> = {
  states: AUTHENTICATED,
  async run(command, context) {
    const literal = context.messageLiteral;
    if (literal === null) throw new Error('APPEND without its literal');
    // All that can be refused is refused before the client is asked for the octets.
    const flags = parseFlags(command.flags);
    if (literal.sizeOctets === 0) throw new RefusedError('cannot', 'A message has at least one octet.');
    if (literal.sizeOctets > context.appendLimitOctets) {
      throw new RefusedError('too-big', 'The message is larger than APPENDLIMIT.');
    }
    const target = await requireTarget(context, command.mailbox.name);
    const { storageOctets, storageLimitOctets } = await context.mailbox.quota();
    if (storageLimitOctets !== null && storageOctets + literal.sizeOctets > storageLimitOctets) {
      throw new RefusedError('over-quota', 'The mailbox is full.');
    }
    const message = await context.dependencies.sealMessage(literal.receive());
    try {
      await literal.finish();
      const internalDate = command.internalDate ?? new Date();
      const items = [{ message, flags, internalDate }];
      const { uidValidity, uids } = await context.mailbox.append(target.id, items, context.origin);
      message.forget();
      return ok('Append completed.', appendUidCode(uidValidity, uids));
    } catch (error) {
      await context.dependencies.discardSealed(message);
      throw error;
    }
  },
};
