/**
 * What LOGIN and AUTHENTICATE have in common: credentials, then the lease, then the mailbox.
 *
 * The lease is asked for here, though nothing is opened yet, so that a mailbox which cannot be read says so at login.
 * That is never answered as a wrong password: clients would drop the right one (RFC 5530 §3).
 */
import { capabilityCode } from '../wire/response-code.ts';
import { type CommandContext, type Completion, no, ok } from './context.ts';

/**
 * The refusal due on a channel where credentials are not taken, else null. Without it, a client that sends them in
 * clear in spite of LOGINDISABLED would be served, and never be found out. RFC 5530 §3: PRIVACYREQUIRED.
 */
export function refusalInClear(context: CommandContext): Completion | null {
  return context.mayAuthenticate ? null : no('Credentials are taken only over TLS.', 'PRIVACYREQUIRED');
}

/** @throws RefusedError 'bad-credentials', 'key-denied', 'locked' or 'too-many', UnavailableError; nothing is entered then. */
export async function signIn(
  context: CommandContext,
  username: string,
  password: string,
): Promise<Completion> {
  const user = await context.dependencies.signIn(username, password, context.remoteAddress);
  await user.owner.lease();
  const mailbox = await context.dependencies.store.openMailbox(user.owner);
  try {
    context.enter(user, mailbox);
  } catch (error) {
    mailbox.close();
    throw error;
  }
  return ok('Logged in.', capabilityCode(context.capabilities()));
}
