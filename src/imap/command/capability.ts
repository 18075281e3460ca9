/**
 * CAPABILITY, RFC 9051 §6.1.1; and what is announced when. Only what is complete stands here.
 */
import type { BareCommand } from '../wire/ast.ts';
import { ANY_STATE, type CommandSpec, ok, type SessionState } from './context.ts';

const ALWAYS = ['IMAP4rev1', 'SASL-IR', 'LITERAL+', 'ID', 'ENABLE'];

const AUTHENTICATED_ONLY = [
  'IDLE',
  'NAMESPACE',
  'UIDPLUS',
  'MOVE',
  'UNSELECT',
  'CHILDREN',
  'SPECIAL-USE',
  'CREATE-SPECIAL-USE',
  'LIST-EXTENDED',
  'LIST-STATUS',
  'XLIST',
  'STATUS=SIZE',
  'ESEARCH',
  'SEARCHRES',
  'SORT',
  'SORT=DISPLAY',
  'ESORT',
  'WITHIN',
  'CONDSTORE',
  'QRESYNC',
  'OBJECTID',
  'SAVEDATE',
  'PREVIEW',
  'PARTIAL',
  'UIDBATCHES',
  'UIDONLY',
  'QUOTA',
  'MULTIAPPEND',
  'UTF8=ACCEPT',
];

export function announcedCapabilities(
  state: SessionState,
  connection: {
    isSecure: boolean;
    mayCompress: boolean;
    mayStartTls: boolean;
    mayAuthenticate: boolean;
    appendLimitOctets: number;
    messageLimit?: number | null;
  },
): readonly string[] {
  if (state !== 'not-authenticated') {
    const { appendLimitOctets, messageLimit = null } = connection;
    const limits = [`APPENDLIMIT=${appendLimitOctets}`];
    if (messageLimit !== null) limits.push(`MESSAGELIMIT=${messageLimit}`);
    if (connection.mayCompress) limits.push('COMPRESS=DEFLATE');
    return [...ALWAYS, ...AUTHENTICATED_ONLY, ...limits];
  }
  const announced = [...ALWAYS];
  if (connection.mayStartTls && !connection.isSecure) announced.push('STARTTLS');
  announced.push(connection.mayAuthenticate ? 'AUTH=PLAIN' : 'LOGINDISABLED');
  return announced;
}

export const capability: CommandSpec<BareCommand> = {
  states: ANY_STATE,
  run(_command, context) {
    context.out.text(`* CAPABILITY ${context.capabilities().join(' ')}\r\n`);
    return ok('Capability completed.');
  },
};
