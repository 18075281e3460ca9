/**
 * The encryption context of every wrap and unwrap: the one place that spells it. docs/format.md, "Keys".
 *
 * The key service refuses a wrapped key under any other context, and its audit log shows these names and values: so
 * identifiers only, never an address or a name of a person.
 */
import type { MailboxId, OrganizationId } from '../ids.ts';

/** Name-value pairs; AWS KMS compares them exactly and without regard to order. */
export type EncryptionContext = Readonly<Record<string, string>>;

/** What a mailbox is for: `mailbox`, a user's; `queue`, an organization's outgoing mail. */
export type MailboxPurpose = 'mailbox' | 'queue';
/**
 * Of a mailbox: its identity seed. `directory`: an organization's statement signing key. `cache`: what its entries in Redis
 * are sealed under. `dkim`: a domain's signing key.
 */
export type KeyPurpose = MailboxPurpose | 'directory' | 'cache' | 'dkim';

export interface ContextOptions {
  /** Name of the pair that names the organization; WorkMail's is `aws:workmail:arn`. */
  readonly name: string;
  /** What its value begins with, before region and account; WorkMail's is `arn:aws:workmail`. */
  readonly arnPrefix: string;
  readonly region: string;
  /** Twelve digits at AWS. */
  readonly account: string;
}

/** WorkMail's spelling, for a machine that is in no region and no account. */
export const DEFAULT_CONTEXT_OPTIONS: ContextOptions = {
  name: 'aws:workmail:arn',
  arnPrefix: 'arn:aws:workmail',
  region: 'local',
  account: '000000000000',
};

const MAILBOX = 'letterlock:mailbox';
const PURPOSE = 'letterlock:purpose';

/** What a wrapped key belongs to; `mailbox` is null for keys of the organization itself. */
export interface KeySubject {
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId | null;
  readonly purpose: KeyPurpose;
}

export function encryptionContext(options: ContextOptions, subject: KeySubject): EncryptionContext {
  const { name, arnPrefix, region, account } = options;
  return {
    [name]: `${arnPrefix}:${region}:${account}${organizationSuffix(subject)}`,
    ...(subject.mailbox === null ? {} : { [MAILBOX]: subject.mailbox }),
    [PURPOSE]: subject.purpose,
  };
}

/**
 * Whether a stored context is one of this subject's, whatever prefix, region and account were configured when it was
 * written. Without this check, who can write the key store could have one mailbox's key unwrapped in the name of
 * another.
 */
export function isContextOf(context: EncryptionContext, subject: KeySubject): boolean {
  const { [MAILBOX]: mailbox, [PURPOSE]: purpose, ...rest } = context;
  const others = Object.values(rest);
  return (
    mailbox === (subject.mailbox ?? undefined) &&
    purpose === subject.purpose &&
    others.length === 1 &&
    others[0]!.endsWith(organizationSuffix(subject))
  );
}

/** What the mailbox is for whose context this is; null when it is none. */
export function mailboxPurpose(context: EncryptionContext): MailboxPurpose | null {
  const purpose = context[PURPOSE];
  return purpose === 'mailbox' || purpose === 'queue' ? purpose : null;
}

const organizationSuffix = ({ organization }: KeySubject): string => `:organization/${organization}`;
