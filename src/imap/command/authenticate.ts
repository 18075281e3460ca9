/** AUTHENTICATE, RFC 9051 §6.2.2, with PLAIN (RFC 4616) and an initial response (RFC 4959). */
import { ProtocolError, RefusedError } from '../../errors.ts';
import type { AuthenticateCommand } from '../wire/ast.ts';
import { type CommandSpec, NOT_AUTHENTICATED, no } from './context.ts';
import { refusalInClear, signIn } from './sign-in.ts';

export const authenticate: CommandSpec<AuthenticateCommand> = {
  states: NOT_AUTHENTICATED,
  async run(command, context) {
    const refusal = refusalInClear(context);
    if (refusal !== null) return refusal;
    if (command.mechanism !== 'PLAIN') return no('That mechanism is not offered.', 'CANNOT');
    const response = command.initialResponse ?? decodeResponse(await context.readLine(''));
    const { username, password } = parsePlain(response);
    return signIn(context, username, password);
  },
};

/** @throws ProtocolError for `*`, by which the client gives up, and for what is not base64. */
function decodeResponse(line: Buffer): Buffer {
  const text = line.toString('latin1').trimEnd();
  if (text === '*') throw new ProtocolError('Authentication was given up.');
  const octets = Buffer.from(text, 'base64');
  // Buffer.from passes over what it does not know.
  if (octets.toString('base64') !== text) throw new ProtocolError('The response is not base64.');
  return octets;
}

/**
 * RFC 4616 §2: [authzid] NUL authcid NUL passwd.
 * @throws RefusedError 'not-permitted' when it asks to act as someone else.
 */
function parsePlain(message: Buffer): { username: string; password: string } {
  const fields = message.toString('utf8').split('\0');
  const [authorizationId, username, password] = fields;
  if (fields.length !== 3 || !username || password === undefined) {
    throw new ProtocolError('The response is no PLAIN message.');
  }
  if (authorizationId !== '' && authorizationId !== username) {
    throw new RefusedError('not-permitted', 'Acting for another user is not allowed.');
  }
  return { username, password };
}
