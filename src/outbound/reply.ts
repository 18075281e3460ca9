/** What a remote server, or we in its stead, say of a recipient: RFC 5321 §4.2 codes and RFC 3463 status codes. */
import type { RemoteReply } from '../delivery/report.ts';
import { REMOTE_REPLY_CHARACTERS } from '../limits.ts';

export type { RemoteReply } from '../delivery/report.ts';

/** `deferred`: to be tried again. `failed`: for good. */
export interface RecipientOutcome {
  readonly kind: 'sent' | 'deferred' | 'failed';
  readonly reply: RemoteReply;
  /** Whether the server takes over the duty to report (RFC 3461 §5.2.2). Only of what was sent. */
  readonly isReportedOn?: boolean;
}

const REPLY = /^(\d{3})[ -]?(?:(\d\.\d{1,3}\.\d{1,3})(?:[ \t]|$))?/;

/** @param response Lines of a reply, as they came. */
export function parseReply(response: string, host: string | null): RemoteReply {
  const lines = response.split(/\r?\n/);
  const [, code = null, status = null] = REPLY.exec(lines[0]!) ?? [];
  const text = lines.map((line) => line.replace(REPLY, '')).join(' ');
  const number = code === null ? null : Number(code);
  const kind = code === null ? '4' : code[0]!;
  return {
    code: number,
    // RFC 3463 §3.1: a status of another class than the code's would mean something else.
    status: status?.startsWith(kind) ? status : `${kind === '2' || kind === '5' ? kind : '4'}.0.0`,
    text: oneLine(text),
    host,
  };
}

/** A reply of ours. */
export const ownReply = (status: string, text: string, host: string | null = null): RemoteReply => ({
  code: null,
  status,
  text: oneLine(text),
  host,
});

export function outcomeOf(reply: RemoteReply): RecipientOutcome {
  return { kind: reply.status[0] === '2' ? 'sent' : reply.status[0] === '5' ? 'failed' : 'deferred', reply };
}

const oneLine = (text: string): string =>
  text
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, REMOTE_REPLY_CHARACTERS);
