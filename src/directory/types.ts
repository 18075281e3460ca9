/** What the directory holds: who exists, and where their mail goes. All of it is in clear at rest (threat model). */
import type { MailboxId, OrganizationId } from '../ids.ts';

export interface Organization {
  readonly id: OrganizationId;
  readonly name: string;
  /** Key of the key service; null for the service's default. */
  readonly keyId: string | null;
}

export interface Domain {
  /** A-labels, lower case. */
  readonly name: string;
  readonly organization: OrganizationId;
}

/** `creating`: keys or mailbox are not there yet; the next attempt to create the user finishes it. */
export type UserState = 'creating' | 'active' | 'disabled' | 'removing';

export interface User {
  readonly id: number;
  readonly organization: OrganizationId;
  /** Primary address, canonical. */
  readonly address: string;
  readonly displayName: string;
  readonly mailbox: MailboxId;
  /** null: no limit. */
  readonly quotaOctets: number | null;
  readonly state: UserState;
}

export interface Group {
  readonly id: number;
  readonly organization: OrganizationId;
  readonly address: string;
  readonly displayName: string;
  /** Addresses of users and groups of the same organization, and of people elsewhere. */
  readonly members: readonly string[];
}

export interface Alias {
  readonly address: string;
  readonly organization: OrganizationId;
  /** The primary address of the user or group. */
  readonly target: string;
}

export interface LocalMailbox {
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId;
  readonly quotaOctets: number | null;
}

export interface OutsideMembers {
  /** The group's, whose queue takes the mail there. */
  readonly organization: OrganizationId;
  readonly addresses: readonly string[];
}

/** Where mail to an address goes; aliases followed, groups expanded, sub-addresses cut. */
export type Resolution =
  | {
      readonly kind: 'local';
      /** Empty when there are only members elsewhere. */
      readonly mailboxes: readonly LocalMailbox[];
      /** Of a group with members elsewhere; at least one of them. */
      readonly outside?: OutsideMembers;
    }
  /** The domain is ours, the address is not. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'disabled' }
  /** Who it belongs to is just being made: mail can be taken soon. */
  | { readonly kind: 'pending' }
  /** Not a domain of ours. */
  | { readonly kind: 'foreign' };
