/** The MX listener: mail from anywhere to our own users. RFC 5321; STARTTLS (RFC 3207) when there is a certificate. */
import type { NewlineMode } from '../delivery/newlines.ts';
import { localRecipient, type RecipientDeps } from '../delivery/recipients.ts';
import { SMTP_COMMAND_OCTETS } from '../limits.ts';
import { type EdgeDeps, type EdgeOptions, type SmtpListener, type SmtpPolicy, startEdge } from './edge.ts';

export interface MxOptions extends Omit<EdgeOptions, 'commandOctets' | 'isTlsImplicit'> {
  /** What happens to a bare CR or LF. Default 'refuse'. */
  readonly newlines?: NewlineMode;
  /** Our authserv-id (RFC 8601 §2.5): Authentication-Results that claim it are removed. Default: `host`. */
  readonly authservId?: string;
}

export function startMx(options: MxOptions, deps: EdgeDeps & RecipientDeps): Promise<SmtpListener> {
  return startEdge(
    { ...options, commandOctets: SMTP_COMMAND_OCTETS },
    inboundPolicy('mx', options, deps),
    deps,
  );
}

/** What MX and LMTP have in common: anybody may send, to whom we know. */
export function inboundPolicy(
  name: 'mx' | 'lmtp',
  options: Pick<MxOptions, 'newlines' | 'authservId' | 'host'>,
  deps: RecipientDeps,
): SmtpPolicy<never> {
  const rules = {
    removesReturnPath: true,
    removesResultsOf: options.authservId ?? options.host,
    removesBcc: false,
    completes: null,
  };
  return {
    name,
    newlines: options.newlines ?? 'refuse',
    checkSender: () => {},
    recipient: ({ declaredOctets }, address, dsn) => localRecipient(deps, address, declaredOctets, dsn),
    rules: () => rules,
  };
}
