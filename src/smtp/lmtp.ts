/** The LMTP listener: mail from our own MTA, one reply for each recipient after DATA. RFC 2033. */

import type { RecipientDeps } from '../delivery/recipients.ts';
import { SMTP_COMMAND_OCTETS } from '../limits.ts';
import { type EdgeDeps, type SmtpListener, startEdge } from './edge.ts';
import { inboundPolicy, type MxOptions } from './mx.ts';

export type LmtpOptions = MxOptions;

export function startLmtp(options: LmtpOptions, deps: EdgeDeps & RecipientDeps): Promise<SmtpListener> {
  return startEdge(
    { ...options, commandOctets: SMTP_COMMAND_OCTETS },
    inboundPolicy('lmtp', options, deps),
    deps,
  );
}
