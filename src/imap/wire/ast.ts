/**
 * Every command that the parser yields, as plain values. RFC 9051 §6 and §9 (grammar), RFC 3501 where a rev1 client
 * still says it otherwise. Names are spelled as the RFCs spell them.
 *
 * Two kinds of text: a `string` here is decoded Unicode unless its comment says "latin1", in which case it holds one
 * character an octet, exactly as the client sent it.
 */
import type { PartialRange } from './partial-range.ts';
import type { SequenceSet } from './sequence-set.ts';

/** A mailbox name argument. `name` is decoded Unicode (INBOX in any case is 'INBOX'); `raw` is latin1, as sent. */
export interface MailboxName {
  readonly name: string;
  readonly raw: string;
}

/** A literal that the reader kept in memory, or one that it handed on chunk by chunk ('literal-data'). */
export type Literal =
  | { readonly kind: 'buffered'; readonly octets: Buffer }
  | { readonly kind: 'streamed'; readonly sizeOctets: number };

interface Tagged {
  /** latin1, RFC 9051 `tag`. */
  readonly tag: string;
}

/** Commands without arguments. */
export interface BareCommand extends Tagged {
  readonly name:
    | 'CAPABILITY'
    | 'NOOP'
    | 'LOGOUT'
    | 'STARTTLS'
    | 'NAMESPACE'
    | 'IDLE'
    | 'CHECK'
    | 'CLOSE'
    | 'UNSELECT';
}

/** RFC 2971 §3.1. `parameters` is null for NIL; field names are lower case, in the order sent. */
export interface IdCommand extends Tagged {
  readonly name: 'ID';
  readonly parameters: ReadonlyMap<string, string | null> | null;
}

/** RFC 9051 §6.2.2, RFC 4959. `mechanism` is upper case; `initialResponse` is decoded ('=' is an empty buffer). */
export interface AuthenticateCommand extends Tagged {
  readonly name: 'AUTHENTICATE';
  readonly mechanism: string;
  readonly initialResponse: Buffer | null;
}

export interface LoginCommand extends Tagged {
  readonly name: 'LOGIN';
  readonly username: string;
  readonly password: string;
}

/** RFC 5161. Upper case. */
export interface EnableCommand extends Tagged {
  readonly name: 'ENABLE';
  readonly capabilities: readonly string[];
}

/** RFC 4978 §3. Upper case. */
export interface CompressCommand extends Tagged {
  readonly name: 'COMPRESS';
  readonly mechanism: string;
}

/** RFC 7162 §3.2.5: SELECT's QRESYNC parameter. */
export interface QresyncParameter {
  readonly uidValidity: number;
  readonly modSeq: number;
  readonly knownUids: SequenceSet | null;
  /** Pairs of known sequence numbers and their UIDs, for finding where client and server part. */
  readonly match: { readonly sequenceNumbers: SequenceSet; readonly uids: SequenceSet } | null;
}

export interface SelectCommand extends Tagged {
  readonly name: 'SELECT' | 'EXAMINE';
  readonly mailbox: MailboxName;
  /** RFC 7162 §3.1.8. */
  readonly isCondstore: boolean;
  readonly qresync: QresyncParameter | null;
}

/** RFC 9051 §6.3.4; RFC 6154 §3: `specialUse` holds attributes as '\Sent' (canonical case when known). */
export interface CreateCommand extends Tagged {
  readonly name: 'CREATE';
  readonly mailbox: MailboxName;
  readonly specialUse: readonly string[];
}

export interface MailboxCommand extends Tagged {
  readonly name: 'DELETE' | 'SUBSCRIBE' | 'UNSUBSCRIBE' | 'GETQUOTAROOT';
  readonly mailbox: MailboxName;
}

export interface RenameCommand extends Tagged {
  readonly name: 'RENAME';
  readonly from: MailboxName;
  readonly to: MailboxName;
}

export type StatusItem =
  | 'MESSAGES'
  | 'RECENT'
  | 'UIDNEXT'
  | 'UIDVALIDITY'
  | 'UNSEEN'
  | 'DELETED'
  | 'SIZE'
  | 'HIGHESTMODSEQ'
  | 'APPENDLIMIT'
  | 'MAILBOXID';

export type ListSelection = 'SUBSCRIBED' | 'REMOTE' | 'RECURSIVEMATCH' | 'SPECIAL-USE';
export type ListReturn = 'SUBSCRIBED' | 'CHILDREN' | 'SPECIAL-USE';

/** RFC 9051 §6.3.9 (LIST-EXTENDED, RFC 5258), RFC 5819 (RETURN STATUS), RFC 6154 §2. */
export interface ListCommand extends Tagged {
  readonly name: 'LIST';
  readonly reference: MailboxName;
  /** One, unless the client sent a parenthesized list. Wildcards are `*` and `%`. */
  readonly patterns: readonly MailboxName[];
  readonly selection: readonly ListSelection[];
  readonly returns: readonly ListReturn[];
  /** Items of RETURN (STATUS (...)); null when not asked for. */
  readonly status: readonly StatusItem[] | null;
  /** Whether any LIST-EXTENDED syntax was used: then "" as pattern is no question for the delimiter. */
  readonly isExtended: boolean;
}

/** RFC 3501 §6.3.9; XLIST is what Outlook 2013 and 2016 ask for special folders. */
export interface LsubCommand extends Tagged {
  readonly name: 'LSUB' | 'XLIST';
  readonly reference: MailboxName;
  readonly pattern: MailboxName;
}

export interface StatusCommand extends Tagged {
  readonly name: 'STATUS';
  readonly mailbox: MailboxName;
  readonly items: readonly StatusItem[];
}

export interface AppendMessage {
  readonly flags: readonly string[];
  readonly internalDate: Date | null;
  readonly message: Literal;
}

/** RFC 9051 §6.3.12, RFC 3502. `messages` has at least one. */
export interface AppendCommand extends Tagged {
  readonly name: 'APPEND';
  readonly mailbox: MailboxName;
  readonly messages: readonly AppendMessage[];
}

/** `set` is null for EXPUNGE and a set of UIDs for UID EXPUNGE (RFC 4315 §2.1). */
export interface ExpungeCommand extends Tagged {
  readonly name: 'EXPUNGE';
  readonly set: SequenceSet | null;
}

export type SearchReturn = 'MIN' | 'MAX' | 'ALL' | 'COUNT' | 'SAVE' | 'PARTIAL';

export interface SearchCommand extends Tagged {
  readonly name: 'SEARCH';
  readonly isUid: boolean;
  /** RFC 9051 §6.4.4 (ESEARCH). Null: an old SEARCH response is due. `RETURN ()` is ['ALL']. */
  readonly returns: readonly SearchReturn[] | null;
  /** The page that PARTIAL asks for (RFC 9394 §3.1); null without it. */
  readonly partial: PartialRange | null;
  /** Keys side by side at the top are one AND. */
  readonly key: SearchKey;
}

export type SortKey =
  | 'ARRIVAL'
  | 'CC'
  | 'DATE'
  | 'FROM'
  | 'SIZE'
  | 'SUBJECT'
  | 'TO'
  /** RFC 5957. */
  | 'DISPLAYFROM'
  | 'DISPLAYTO';

export interface SortCriterion {
  readonly key: SortKey;
  readonly isReverse: boolean;
}

/** RFC 5256 §3; with `returns`, RFC 5267 §3. */
export interface SortCommand extends Omit<SearchCommand, 'name'> {
  readonly name: 'SORT';
  /** The first decides, the next where it does not. */
  readonly criteria: readonly SortCriterion[];
}

/** Days from 1970-01-01 to a calendar date (negative before), so that dates compare as integers. */
export type EpochDay = number;

export type SearchKey =
  | { readonly key: 'ALL' }
  | { readonly key: 'AND'; readonly keys: readonly SearchKey[] }
  | { readonly key: 'OR'; readonly left: SearchKey; readonly right: SearchKey }
  | { readonly key: 'NOT'; readonly operand: SearchKey }
  | { readonly key: 'SEQUENCE'; readonly set: SequenceSet }
  | { readonly key: 'UID'; readonly set: SequenceSet }
  /**
   * SEEN, UNSEEN, KEYWORD, RECENT ...: `flag` is '\Seen', a keyword as sent, or '\Recent'. NEW and OLD are expressed
   * by it as well.
   */
  | { readonly key: 'FLAG'; readonly flag: string; readonly isSet: boolean }
  /** Substring in the envelope's field. */
  | { readonly key: 'BCC' | 'CC' | 'FROM' | 'SUBJECT' | 'TO'; readonly text: string }
  | { readonly key: 'BODY' | 'TEXT'; readonly text: string }
  /** An empty text asks whether the field is there. */
  | { readonly key: 'HEADER'; readonly field: string; readonly text: string }
  | { readonly key: 'LARGER' | 'SMALLER'; readonly sizeOctets: number }
  | { readonly key: 'BEFORE' | 'ON' | 'SINCE'; readonly day: EpochDay }
  | { readonly key: 'SENTBEFORE' | 'SENTON' | 'SENTSINCE'; readonly day: EpochDay }
  /** RFC 8514 §4. */
  | { readonly key: 'SAVEDBEFORE' | 'SAVEDON' | 'SAVEDSINCE'; readonly day: EpochDay }
  /** RFC 5032. */
  | { readonly key: 'OLDER' | 'YOUNGER'; readonly seconds: number }
  /** RFC 8474 §6. */
  | { readonly key: 'EMAILID' | 'THREADID'; readonly id: string }
  /** RFC 7162 §3.1.5; an entry name is accepted and ignored, as all our flags share one modseq. */
  | { readonly key: 'MODSEQ'; readonly modSeq: number };

/** BODY[section]: RFC 9051 §6.4.5.1. */
export interface Section {
  /** '' for the message itself, '1', '2.1' ... as DigestPart.section. */
  readonly part: string;
  readonly text: 'HEADER' | 'HEADER.FIELDS' | 'HEADER.FIELDS.NOT' | 'TEXT' | 'MIME' | null;
  /** For HEADER.FIELDS and HEADER.FIELDS.NOT; latin1, spelled as the client spelled them. */
  readonly fields: readonly string[];
}

/** `<offset.length>`; length is at least 1. */
export interface Partial {
  readonly offset: number;
  readonly length: number;
}

export interface BodySectionItem {
  readonly item: 'BODY[]';
  readonly section: Section;
  readonly partial: Partial | null;
  readonly isPeek: boolean;
}

export type FetchItem =
  | {
      readonly item:
        | 'FLAGS'
        | 'UID'
        | 'INTERNALDATE'
        | 'ENVELOPE'
        | 'BODY'
        | 'BODYSTRUCTURE'
        | 'RFC822'
        | 'RFC822.SIZE'
        | 'RFC822.HEADER'
        | 'RFC822.TEXT'
        | 'MODSEQ'
        | 'EMAILID'
        | 'THREADID'
        | 'SAVEDATE'
        /** RFC 8970; LAZY is taken and changes nothing, since every preview is at hand. */
        | 'PREVIEW';
    }
  | BodySectionItem;

export interface FetchCommand extends Tagged {
  readonly name: 'FETCH';
  readonly isUid: boolean;
  readonly set: SequenceSet;
  /** Macros are expanded; duplicates removed; in the order sent. */
  readonly items: readonly FetchItem[];
  /** RFC 7162 §3.1.4.1 and §3.2.6. */
  readonly changedSince: number | null;
  readonly isVanished: boolean;
  /** RFC 9394 §3.3; only with UID FETCH. */
  readonly partial: PartialRange | null;
}

/** RFC 10022 §3.1. The first batch holds the messages with the largest UIDs. */
export interface UidBatchesCommand extends Tagged {
  readonly name: 'UIDBATCHES';
  readonly size: number;
  /** The batches wanted, from 1; null for all. */
  readonly batches: { readonly from: number; readonly to: number } | null;
}

export interface StoreCommand extends Tagged {
  readonly name: 'STORE';
  readonly isUid: boolean;
  readonly set: SequenceSet;
  readonly operation: 'replace' | 'add' | 'remove';
  readonly isSilent: boolean;
  /** System flags in canonical case ('\Seen'), keywords as sent; no duplicates. */
  readonly flags: readonly string[];
  /** RFC 7162 §3.1.3. */
  readonly unchangedSince: number | null;
}

export interface CopyCommand extends Tagged {
  readonly name: 'COPY' | 'MOVE';
  readonly isUid: boolean;
  readonly set: SequenceSet;
  readonly mailbox: MailboxName;
}

/** RFC 9208 §4.1. */
export interface GetQuotaCommand extends Tagged {
  readonly name: 'GETQUOTA';
  readonly root: string;
}

export interface SetQuotaCommand extends Tagged {
  readonly name: 'SETQUOTA';
  readonly root: string;
  /** Resource names in upper case. STORAGE is in units of 1,024 octets. */
  readonly limits: readonly { readonly resource: string; readonly limit: number }[];
}

export type Command =
  | BareCommand
  | IdCommand
  | AuthenticateCommand
  | LoginCommand
  | EnableCommand
  | CompressCommand
  | SelectCommand
  | CreateCommand
  | MailboxCommand
  | RenameCommand
  | ListCommand
  | LsubCommand
  | StatusCommand
  | AppendCommand
  | ExpungeCommand
  | SearchCommand
  | SortCommand
  | FetchCommand
  | UidBatchesCommand
  | StoreCommand
  | CopyCommand
  | GetQuotaCommand
  | SetQuotaCommand;

export type CommandName = Command['name'];
