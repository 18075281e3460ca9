/**
 * The submission listeners: mail from our own users, who authenticate over TLS. RFC 6409; RFC 8314 for implicit TLS.
 * Clients that we bend for: Outlook's space after `MAIL FROM:` and Windows Mail's two after `AUTH PLAIN` pass in the package.
 */
import { randomUUID } from 'node:crypto';
import type { HeaderSection } from '../delivery/header-rules.ts';
import { localRecipient, onwardRecipient, type RecipientDeps } from '../delivery/recipients.ts';
import { formatDate } from '../delivery/trace.ts';
import { ProtocolError, RefusedError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import { SMTP_AUTH_LINE_OCTETS } from '../limits.ts';
import { authorsOf } from '../message/from-field.ts';
import { fieldValue } from '../message/header.ts';
import { inNetworks } from '../networks.ts';
import {
  type Credentials,
  type EdgeDeps,
  type EdgeOptions,
  type SmtpListener,
  type SmtpPolicy,
  startEdge,
} from './edge.ts';

export interface SubmissionOptions extends Omit<EdgeOptions, 'commandOctets'> {
  /** CIDR ranges whose clients may authenticate without TLS: a proxy that terminates it. Default none. */
  readonly plaintextNetworks?: readonly string[];
  /** Our authserv-id. Default: `host`. */
  readonly authservId?: string;
}

/** An authenticated user. */
export interface Submitter {
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId;
  /**
   * Whether mail may name this address as its sender: the user's own, aliases and sub-addresses included.
   * @throws RefusedError 'locked' once the mailbox or its organization is locked.
   */
  owns(address: string): boolean;
}

export interface SubmissionDeps extends EdgeDeps, RecipientDeps {
  /** Delays failures itself. @throws RefusedError 'bad-credentials', 'locked'; UnavailableError. */
  readonly authenticate: (credentials: Credentials) => Promise<Submitter>;
  /**
   * Counts recipients elsewhere. Absent: nobody counts. @throws UnavailableError 'busy' when they are too many now,
   * RefusedError 'not-permitted' when they always are.
   */
  readonly countRecipients?: (organization: OrganizationId, mailbox: MailboxId, recipients: number) => void;
}

export function startSubmission(options: SubmissionOptions, deps: SubmissionDeps): Promise<SmtpListener> {
  return startEdge(
    { ...options, commandOctets: SMTP_AUTH_LINE_OCTETS },
    submissionPolicy(options, deps),
    deps,
  );
}

export function submissionPolicy(options: SubmissionOptions, deps: SubmissionDeps): SmtpPolicy<Submitter> {
  const mayBePlaintext = inNetworks(options.plaintextNetworks ?? []);
  return {
    name: 'submission',
    newlines: 'repair',
    authenticate: deps.authenticate,
    mayAuthenticate: (remoteAddress, isSecure) => isSecure || mayBePlaintext(remoteAddress),
    checkSender({ client, reversePath }) {
      if (!client.isTrusted) throw new ProtocolError('Send STARTTLS first', 'authentication-required');
      if (client.principal === null) {
        throw new ProtocolError('Authentication required', 'authentication-required');
      }
      // The null reverse-path is a disposition notification's (RFC 8098 §3); its From is looked at all the same.
      if (reversePath !== '' && !client.principal.owns(reversePath)) throw notYours('sender');
    },
    recipient: async ({ client, declaredOctets }, address, dsn) => {
      const { principal } = client;
      if (principal === null) return localRecipient(deps, address, declaredOctets, dsn);
      const { organization, mailbox } = principal;
      const recipient = { address, ...dsn, reportedAs: null };
      const destinations =
        deps.resolve(address).kind === 'foreign'
          ? await onwardRecipient(deps, organization, recipient, declaredOctets)
          : await localRecipient(deps, address, declaredOctets, dsn);
      const elsewhere = destinations.reduce((sum, { onward }) => sum + (onward?.length ?? 0), 0);
      if (elsewhere > 0) deps.countRecipients?.(organization, mailbox, elsewhere);
      return destinations;
    },
    submitter: ({ client }) => client.principal?.mailbox ?? null,
    rules: ({ client }, receivedAt) => ({
      removesReturnPath: true,
      removesResultsOf: options.authservId ?? options.host,
      removesBcc: true,
      completes: { date: formatDate(receivedAt), messageId: `<${randomUUID()}@${options.host}>` },
      check: (header) => checkFrom(header, client.principal),
    }),
  };
}

/**
 * The author that readers see must be the one who authenticated. RFC 5322 §3.6.2; RFC 6409 §6.1 has the reply, 550 5.7.1.
 * @throws RefusedError 'not-permitted', or 'bad-message' when there is not exactly one From field, or it is unreadable.
 */
function checkFrom({ octets, fields }: HeaderSection, submitter: Submitter | null): void {
  const [from, ...others] = fields.filter((field) => field.name.toLowerCase() === 'from');
  if (from === undefined || others.length > 0) {
    throw new RefusedError('bad-message', 'The message must have exactly one From field');
  }
  for (const author of authorsOf(fieldValue(octets, from))) {
    if (!submitter?.owns(author)) throw notYours('From');
  }
}

function notYours(what: string): RefusedError {
  return new RefusedError('not-permitted', `The ${what} address is not one of yours`);
}
