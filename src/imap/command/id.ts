/**
 * ID, RFC 2971. What the client says of itself is not kept: it is no fact, and it may name a person's device.
 *
 * Mail on iOS says by it that a connection is for downloading in the background, and takes NO [UNAVAILABLE] for "in a day"
 * (Apple's technote TN3189): the answer when the server has enough to do, or cannot open the mailbox at all.
 */
import type { IdCommand } from '../wire/ast.ts';
import { ANY_STATE, type CommandSpec, no, ok } from './context.ts';

const BACKGROUND = ['indexer', 'back-fill'];

export const id: CommandSpec<IdCommand> = {
  states: ANY_STATE,
  async run({ parameters }, context) {
    if (isBackgroundDownload(parameters)) {
      if (context.dependencies.load.isBusy)
        return no('Busy; background downloads are to wait.', 'UNAVAILABLE');
      if (await context.isLocked()) return no('The mailbox cannot be opened now.', 'UNAVAILABLE');
    }
    // The version would tell an attacker what to try, and no client needs it.
    context.out.text('* ID ("name" "Letterlock")\r\n');
    return ok('ID completed.');
  },
};

function isBackgroundDownload(parameters: IdCommand['parameters']): boolean {
  if (!parameters?.get('name')?.startsWith('com.apple.')) return false;
  const events = parameters.get('event')?.split(',') ?? [];
  return events.some((event) => BACKGROUND.includes(event.trim().toLowerCase()));
}
