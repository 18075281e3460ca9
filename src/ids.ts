/**
 * Identifiers that cross module borders, as branded types: a bare string or number is none of them.
 * All random identifiers are 16 octets from the system's generator, written as 32 lower-case hex digits.
 */
import { randomBytes } from 'node:crypto';

declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

/** `m-` and 32 hex digits, as WorkMail writes them. */
export type OrganizationId = Branded<string, 'OrganizationId'>;
/** One user's whole mail. 32 hex digits. */
export type MailboxId = Branded<string, 'MailboxId'>;
/** One stored message, whatever folders it is in. 32 hex digits; names its body file. */
export type MessageId = Branded<string, 'MessageId'>;
/** A folder within one mailbox; never reused. INBOX is 1. */
export type FolderId = Branded<number, 'FolderId'>;
/** RFC 9051 §2.3.1.1: 32 bits, ascending, never reused within a folder. */
export type Uid = Branded<number, 'Uid'>;
/** RFC 9051 §2.3.1.2: 1 to the number of messages in the folder, as one session sees it. */
export type SequenceNumber = Branded<number, 'SequenceNumber'>;
export type UidValidity = Branded<number, 'UidValidity'>;
/** RFC 7162: a mailbox-wide (ours) counter that only grows; a safe integer. */
export type ModSeq = Branded<number, 'ModSeq'>;

const HEX32 = /^[0-9a-f]{32}$/;

const newHex32 = (): string => randomBytes(16).toString('hex');
export const newOrganizationId = (): OrganizationId => `m-${newHex32()}` as OrganizationId;
export const newMailboxId = (): MailboxId => newHex32() as MailboxId;
export const newMessageId = (): MessageId => newHex32() as MessageId;

export const isMailboxId = (text: string): text is MailboxId => HEX32.test(text);
export const isMessageId = (text: string): text is MessageId => HEX32.test(text);
export const isOrganizationId = (text: string): text is OrganizationId =>
  text.startsWith('m-') && HEX32.test(text.slice(2));
