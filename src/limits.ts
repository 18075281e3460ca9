/**
 * Every bound that Letterlock keeps, with its reason. Octets and milliseconds unless the name says otherwise.
 * What an operator may change is a configuration key whose default comes from here.
 */

export const KIB = 1024;
export const MIB = 1024 * KIB;

// --- Sealing ---

/** Clear octets in one zstd frame: a partial FETCH opens at most this much more than it asked for. */
export const FRAME_OCTETS = 256 * KIB;
/** Messages up to this size are stored in raw blocks: inflating 20 KB costs twice what reading and opening it does. */
export const RAW_MESSAGE_OCTETS = 64 * KIB;
/** An age header has one stanza for us; 16 KiB holds any header that stock age writes for a handful of recipients. */
export const AGE_HEADER_OCTETS = 16 * KIB;
/** A hybrid recipient, the longest key we read, has 1,959 characters. */
export const BECH32_CHARACTERS = 2 * KIB;
/** Frames that inflate to at most this much are inflated on the loop: 60 µs, less than a thread's trip costs. */
export const ZSTD_SYNC_OCTETS = 64 * KIB;

// --- Store ---

/** Mailboxes whose expunged messages one checkpoint removes: each may have to be opened, on the event loop. */
export const GARBAGE_MAILBOXES = 64;
/** Bodies up to this many sealed octets travel inside the accept journal's record: one sync for body and index. */
export const INLINE_BODY_OCTETS = MIB;
/** One accept-journal segment: some seconds of full load, so that a checkpoint syncs in bulk and recovery stays short. */
export const JOURNAL_SEGMENT_OCTETS = 64 * MIB;
/** Segments in use at most; when the checkpoint lags this far behind, new operations wait for it. */
export const JOURNAL_SEGMENTS = 8;
/** One record must fit a segment with room to spare: a message of 1 MiB to about 10,000 mailboxes. */
export const JOURNAL_RECORD_OCTETS = 48 * MIB;
/** What a record's JSON takes at most for one entry: its fields and ids 250, its first keywords the rest. */
export const JOURNAL_ENTRY_OCTETS = KIB;
/** Octets waiting for one sync: bounds memory when the disk stalls; beyond it new operations are refused as busy. */
export const JOURNAL_QUEUE_OCTETS = 64 * MIB;
/** A sync takes milliseconds, on a busy disk a second: a disk that is silent for so long makes a server not ready. */
export const JOURNAL_STALL_MS = 10_000;
/** A quiet store is checkpointed this long after its last change, so that a crash replays little. */
export const CHECKPOINT_IDLE_MS = 5_000;
/** One pack: large enough that a mailbox has few, small enough that copying the live half of one is soon done. */
export const PACK_OCTETS = 16 * MIB;
/** A pack with less dead space than this is not worth copying. */
export const PACK_DEAD_OCTETS = MIB;
/** Sealed octets that a checkpoint holds in memory before it writes them. */
export const CHECKPOINT_BATCH_OCTETS = 8 * MIB;
/** Indexes, and packs, that the checkpoint thread keeps open. */
export const CHECKPOINT_INDEXES = 64;
/** Pages in an index's WAL before a checkpoint carries them over: 1 MiB, as SQLite's own default. */
export const WAL_FRAMES = 256;
/** Packs kept open for reading: one descriptor each. */
export const OPEN_PACKS = 256;
/** Neighbours in a pack are read together up to this much: one system call for a screenful of messages. */
export const READ_RUN_OCTETS = MIB;
/** Space kept free for indexes, logs and expunges: below it, deliveries and appends are refused with disk-full, and no pages are made. */
export const DISK_RESERVE_OCTETS = 256 * MIB;
/** How often free space is looked at. */
export const DISK_CHECK_MS = 1_000;
/** SQLite indexes open at once: three descriptors each, well below the usual soft limit of 1,024. */
export const OPEN_INDEXES = 256;
/** Mailboxes whose counters and folder rows stay in memory though nobody uses them. */
export const IDLE_MAILBOX_OWNERS = 2_048;
/** Folders of one mailbox: LIST opens every sealed name. */
export const FOLDERS_PER_MAILBOX = 10_000;
/** Octets of a folder's whole path: what Dovecot allows is 4,096, and one sealed name stays one small object. */
export const FOLDER_PATH_OCTETS = 1_024;
/** Levels of a folder's path. */
export const FOLDER_DEPTH = 32;
/**
 * Ranges of UIDs that a folder remembers as vanished, for clients that come back: 4 ms to read, 200 KB. Some years of
 * deleting one by one; beyond it the older half is forgotten, and clients from before are told of every gap.
 */
export const VANISHED_RANGES_PER_FOLDER = 8_192;
/** Keywords of one mailbox: every open folder keeps the table of their names. */
export const KEYWORDS_PER_MAILBOX = 1_000;
/** Octets of one keyword's name. */
export const KEYWORD_OCTETS = 128;
/** Messages opened ahead of the one being sent: hides the disk, and bounds memory to some MiB a FETCH. */
export const READ_AHEAD_MESSAGES = 32;
/** Messages looked up ahead when only their index rows are read: one query, 0.3 ms. */
export const LOOK_AHEAD_MESSAGES = 256;
/** File keys remembered under one lease: 16 octets each, about 10 MB with their table. */
export const FILE_KEYS_PER_LEASE = 65_536;
/**
 * Messages that one record of the journal flags, moves or expunges: it is applied in one go, in some 10 ms when they are
 * scattered. COPY, which is all or none, has no such bound.
 */
export const OPERATION_MESSAGES = 500;
/** A step of store work that covers many mailboxes or messages yields to the event loop after this long. */
export const LOOP_SLICE_MS = 8;
/** Messages of one page: what a client of a large folder fetches costs one opening for so many. */
export const PAGE_MESSAGES = 4_096;
/** Pages of one size that are merged into one of the next: 1, 16, 256, 4,096 messages. */
export const PAGE_FAN = 16;
/** Messages that are absorbed in one step: their digests and file keys are in memory until it is done. */
export const ABSORB_MESSAGES = 256;
/** Clear octets of one step, after which no further message is begun: the largest digests have megabytes. */
export const ABSORB_OCTETS = 4 * MIB;
/** Clear octets of a page's columns together; pages are merged up to it. Most have half of that. */
export const PAGE_OCTETS = 16 * MIB;
/** Clear octets of one column, which is opened in one piece: at most all of a page and one message more, or one long text. */
export const PAGE_COLUMN_OCTETS = 24 * MIB;
/** Clear octets of columns that one lease remembers: the columns that a client sync of one page reads, twice. */
export const PAGE_CACHE_OCTETS = 16 * MIB;
/** Header fields of one message that are kept in its page: most have 2 KB of them, those with hundreds of recipients more. */
export const KEPT_FIELDS_OCTETS = 16 * KIB;
/** Octets of one message that are decoded to be searched, as transferred; of a longer one the text is not kept. */
export const SEARCH_TEXT_OCTETS = 2 * MIB;
/**
 * UTF-16 code units of one message's text, decoded and case-mapped: as many as it may have octets, which no language
 * exceeds. A stranger may: one character becomes up to 18. UTF-8 needs three octets at most for each, which
 * PAGE_COLUMN_OCTETS holds.
 */
export const SEARCH_TEXT_UNITS = 2 * MIB;
/** Clear octets of one chunk of texts, when no single text is longer: what a search opens to look at one message. */
export const TEXT_CHUNK_OCTETS = 128 * KIB;
/** Rows of a signature: a text of 5 KB sets a quarter of its bits, and six trigrams leave one message in 4,000 in doubt. */
export const SIGNATURE_ROWS = 8_192;
/** Clear octets of one block of a signature: a search opens one for each trigram of its term and each page. */
export const SIGNATURE_BLOCK_OCTETS = 8 * KIB;
/** Pages of fewer messages have no signature: there are thirty of them at most, mostly, with 4,000 texts together. */
export const SIGNATURE_MESSAGES = 256;
/** Terms of one SEARCH that are looked up in signatures; further ones are looked for in the texts. */
export const SEARCH_LOOKUPS = 32;
/** Background work rests so many times as long as it worked: it takes a fifth of the event loop's time at most. */
export const BACKGROUND_REST = 4;
/** Messages that could not be absorbed, which are not tried again before the next start; with so many, no others are. */
export const ABSORB_FAILURES = 10_000;
/** Messages of a queue that are listed in one step: a millisecond or two. */
export const QUEUE_LIST_ROWS = 1_000;
/** A mailbox's snapshot is at most this much older than its last checkpointed change. */
export const SNAPSHOT_INTERVAL_MS = 10 * 60_000;

// --- IMAP grammar ---

/** Text of one command. RFC 7162 §4 asks for 8,192 at least; clients send UID lists of tens of kilobytes. */
export const IMAP_LINE_OCTETS = 64 * KIB;
/** The same before authentication: LOGIN, ID and a SASL response with a bearer token fit. */
export const IMAP_PREAUTH_LINE_OCTETS = 8 * KIB;
/** One literal kept in memory: names, search terms, credentials. Message literals are streamed. */
export const IMAP_LITERAL_OCTETS = 64 * KIB;
export const IMAP_PREAUTH_LITERAL_OCTETS = 4 * KIB;
/** All literals of one command kept in memory. */
export const IMAP_COMMAND_LITERAL_OCTETS = 256 * KIB;
export const IMAP_PREAUTH_COMMAND_LITERAL_OCTETS = 8 * KIB;
/** Literals of one command: a search over many fields has a dozen. */
export const IMAP_LITERALS = 256;
/** A refused non-synchronizing literal up to this size is read and dropped; beyond it the connection is closed. */
export const IMAP_SWALLOW_OCTETS = 64 * MIB;
export const IMAP_PREAUTH_SWALLOW_OCTETS = 64 * KIB;
/** Ranges of one sequence set: a client that lists every second of 30,000 UIDs, one by one, fits in a line. */
export const IMAP_SEQUENCE_RANGES = 16_384;
/** Parentheses, NOT and OR within each other in SEARCH: the parser and the evaluator recurse. */
export const IMAP_SEARCH_DEPTH = 50;
/** Search keys of one command. */
export const IMAP_SEARCH_KEYS = 1_000;
/** Items, flags, fields, patterns of one parenthesized list. */
export const IMAP_LIST_ITEMS = 1_000;
/** RFC 2971 §3.3: at most 30 pairs, field names of 30 octets, values of 1,024. */
export const IMAP_ID_PAIRS = 30;
export const IMAP_ID_FIELD_OCTETS = 30;
export const IMAP_ID_VALUE_OCTETS = 1_024;

// --- Keys ---

/** What a key service wraps at most: AWS KMS's Encrypt takes 4,096 octets under SYMMETRIC_DEFAULT. */
export const WRAPPED_CLEAR_OCTETS = 4096;
/** Pairs in an encryption context: a KMS grant constrains at most 8. */
export const CONTEXT_PAIRS = 8;
/** One call to a key service, its own retries included; a client that waits longer has given up. */
export const KEY_SERVICE_DEADLINE_MS = 10_000;
/** Calls in flight to the key service while many keys are made: fills the latency, spares the account's quota. */
export const KEY_SERVICE_CALLS = 16;
/** Mailboxes whose keys one transaction publishes: each half of it keeps the loop for some milliseconds. */
export const KEY_BATCH = 64;
/** A lease ends this long after its last use ... */
export const LEASE_IDLE_MS = 60_000;
/** ... and this long after the key service's unwrap in any case: how fast a withdrawn KMS right takes effect. */
export const LEASE_ABSOLUTE_MS = 300_000;
/** Verified recipients kept in memory, some 5 KB each; to verify and parse a hybrid one takes most of a millisecond. */
export const RECIPIENT_CACHE_ENTRIES = 20_000;
/** Space is written ahead in the key-use journal in these steps. */
export const USE_JOURNAL_STEP_OCTETS = MIB;
/** The next step is written when less than this is left: 600 records, so that none waits for it. */
export const USE_JOURNAL_AHEAD_OCTETS = 256 * KIB;
/** Kept back from intents on a full disk, so that what was begun can still be recorded. */
export const USE_JOURNAL_RESERVE_OCTETS = 64 * KIB;
/** Records that nobody waits for are synced together after at most this long. */
export const USE_JOURNAL_LAZY_MS = 100;
/** Characters of a text field (principal, address, reason) in the journal: an address has at most 254. */
export const USE_JOURNAL_FIELD_CHARS = 320;

// --- Audit ---

/** How often a checkpoint is made when keys were used: what happened since the last one is not vouched for. */
export const CHECKPOINT_INTERVAL_MS = 5 * 60_000;
/** Journals that one checkpoint names. A start after a crash has one to name; thousands go into several checkpoints. */
export const CHECKPOINT_JOURNALS = 64;
/** A checkpoint of so many takes 12 KiB. */
export const CHECKPOINT_OCTETS = 16 * KIB;
/** A copy goes to another volume, maybe over a network: what hangs longer is given up, and the next one tries again. */
export const CHECKPOINT_COPY_MS = 5_000;
/** A line of the key-use journal: four fields of USE_JOURNAL_FIELD_CHARS, escaped, a key's ARN, and the rest. */
export const USE_JOURNAL_LINE_OCTETS = 16 * KIB;
/** What `audit verify` shows of each kind for one file: a file that is all wrong has as many findings as lines. */
export const AUDIT_FINDINGS = 1_000;
/** Uses that have begun and not ended, kept while a journal is read: some hundred are under way at once. */
export const AUDIT_OPEN_USES = 10_000;
/** A journal that is this much older than a checkpoint is named by it: records wait for their sync less. */
export const AUDIT_SLACK_MS = 60_000;
/** What looks like a torn line may be one that is just being written: it is looked at again after this long. */
export const AUDIT_LOOK_AGAIN_MS = 100;
/** A look into the directory waits this long for a server that just then locks it. */
export const DIRECTORY_READ_MS = 1_000;
// --- Lease cache ---

/** One entry: a seed, and a key id and a request id of the key service. More is not read of what Redis holds. */
export const LEASE_ENTRY_OCTETS = 4 * KIB;
/** An entry with less time left is not opened: its lease could end within the command that asked for it. */
export const LEASE_ENTRY_LEAST_MS = 1_000;
/** Sentinels, or nodes of a cluster to begin with, in the configuration: more than any has. */
export const REDIS_NODES = 64;
/** One call to Redis. It takes well below 1 ms on a local network, and the key service, asked otherwise, some 10. */
export const REDIS_DEADLINE_MS = 50;
/** After a failed call Redis is left alone for so long: a frozen one then costs one login its deadline in this time. */
export const REDIS_PAUSE_MS = 2_000;
/** Calls that Redis has not ended, some hundred octets each; further ones do without. A crowd that logs in at once. */
export const REDIS_CALLS = 1_000;
/** A connection that is being made, or owes an answer, and says nothing for so long is given up. */
export const REDIS_SILENCE_MS = 1_000;
/** Pauses between attempts to connect grow up to this. */
export const REDIS_RECONNECT_MS = 2_000;
/** How long a start waits for Redis, since all clients are about to log in again. */
export const REDIS_START_MS = 1_000;
/** How long a login waits for its organization's cache key: beyond it the mailbox's own key is sooner there. */
export const CACHE_KEY_WAIT_MS = 1_000;
/** A cache key that could not be had is not asked for again before: each attempt is a call to the key service. */
export const CACHE_KEY_RETRY_MS = 30_000;

// --- AWS KMS ---

/** Attempts of one call. With AWS_ATTEMPT_MS and the pauses between, they fit KEY_SERVICE_DEADLINE_MS. */
export const AWS_ATTEMPTS = 3;
/** Until TCP and TLS stand: three round trips around the world, and one lost packet. */
export const AWS_CONNECT_MS = 2_000;
/** One attempt: KMS answers in some 10 ms; what takes this long will not come. */
export const AWS_ATTEMPT_MS = 3_000;
/** Calls in flight, and sockets of a region: at 10 ms each, two thirds of the smallest quota, 10,000 a second. */
export const AWS_CALLS = 64;
/** Calls that wait for one of those; at 10 ms each the last waits below a second. More are refused at once. */
export const AWS_CALLS_WAITING = 5_000;
/** KMS takes no longer ciphertext. */
export const AWS_WRAPPED_OCTETS = 6_144;

// --- Message ---

/** Octets of one entity's header that are read as header; what follows is body. The longest seen in the wild are 100 KiB. */
export const HEADER_OCTETS = 256 * KIB;
/**
 * Octets of header read over the whole message. They come back in ENVELOPE and BODYSTRUCTURE, so this keeps a message
 * made of headers from becoming a digest as large as itself. Entities beyond it are opaque.
 */
export const TOTAL_HEADER_OCTETS = 512 * KIB;
/**
 * MIME entities read in a message, embedded messages included; boundaries after the last are text. Each costs some 200
 * octets of digest that every client fetches; the largest digests of mailing lists have some hundred.
 */
export const MESSAGE_PARTS = 2_000;
/** Addresses of one header field that ENVELOPE shows. The header itself keeps them all. */
export const ADDRESSES_PER_FIELD = 2_000;
/** Parameters of one Content-Type or Content-Disposition; RFC 2231 pieces count each. */
export const PARAMETERS_PER_FIELD = 200;
/** Levels of multiparts and embedded messages that are entered; real mail stays below 20. Bounds recursion. */
export const PART_DEPTH = 50;
/** RFC 2046 §5.1.1 allows 70; some senders use more. A longer boundary parameter counts as missing. */
export const BOUNDARY_OCTETS = 250;
/** Strings longer than this are sent as literals: RFC 7162 §4 suggests 8,192 octets a line, and lines hold many strings. */
export const QUOTED_STRING_OCTETS = 1000;
/** Octets of a part's body (as transferred) that SEARCH reads: to undo their transfer encoding takes 10 ms at most. */
export const SEARCH_PART_OCTETS = 512 * KIB;
/** Code units that are read as HTML, or case-mapped, in one go: 1 ms, or 5 ms of characters that become 18 each. */
export const TEXT_PORTION_UNITS = 16 * KIB;
/** Octets that iconv-lite decodes in one go: 2 ms of UTF-7, its slowest. */
export const CHARSET_PORTION_OCTETS = 4 * KIB;
/** Octets of the first text part's body from which the preview is made: HTML mail has kilobytes of style first. */
export const PREVIEW_SOURCE_OCTETS = 16 * KIB;
/** Characters of a subject that SORT looks at: undoing `Re: [list] Fwd:` takes a pass for each of them. */
export const SORT_SUBJECT_CHARACTERS = 1_000;
/** RFC 8970 §3.1: a preview has at most 200 characters. */
export const PREVIEW_CHARACTERS = 200;

// --- Delivery ---

/** One incoming message held in clear in memory; what is larger waits in an encrypted temporary file. */
export const SPOOL_MESSAGE_OCTETS = 2 * MIB;
/** All incoming messages held in memory together; beyond it even small ones go to temporary files. */
export const SPOOL_MEMORY_OCTETS = 64 * MIB;
/** One encrypted block of a temporary file: large enough for the cipher, small enough for a thousand clients at once. */
export const SPOOL_BLOCK_OCTETS = 64 * KIB;
/** A header section is read whole, to add trace fields and count hops. Postfix truncates at 100 KiB; Exchange allows 256. */
export const HEADER_SECTION_OCTETS = 256 * KIB;
/** So many make a loop. RFC 5321 §6.3 wants 100, but no path has 50, and Postfix's hopcount_limit is 50 too. */
export const RECEIVED_FIELDS = 50;
/** Messages above RAW_MESSAGE_OCTETS that are sealed at the same time: each holds a few frames. */
export const LARGE_MESSAGES_AT_ONCE = 4;

// --- SMTP ---

/** Default size of a message, announced by SIZE (RFC 1870). What large providers take from outside. */
export const SMTP_MESSAGE_OCTETS = 50 * MIB;
/** Octets of a refused, oversized message that are read and dropped before the connection is closed. */
export const SMTP_SWALLOW_OCTETS = 64 * MIB;
/** RFC 5321 §4.5.3.1.8 asks for at least 100. */
export const SMTP_RECIPIENTS = 1_000;
/** Mailboxes, and people elsewhere, that recipients of one transaction stand for together: GROUP_MEMBERS, one journal record. */
export const SMTP_MAILBOXES = 10_000;
/** Addresses in the From field of a submitted message: people write together, but not a crowd. */
export const FROM_AUTHORS = 20;
/** RFC 5321 §4.5.3.1.4 gives 512 and extensions some hundred more; senders with long VERP addresses reach 1 KiB. */
export const SMTP_COMMAND_OCTETS = 2 * KIB;
/** RFC 4954 §4: a client may send 12,288 octets in a line of an AUTH exchange. */
export const SMTP_AUTH_LINE_OCTETS = 12_288;
/** RFC 5321 §4.5.3.2.7: a server waits at least five minutes for the next command. */
export const SMTP_IDLE_MS = 5 * 60_000;
/** One DATA from first to last octet: 50 MB over a line of 256 kbit/s. A client that trickles ends here. */
export const SMTP_DATA_MS = 30 * 60_000;
/** Connections of one listener. Each costs about 50 KB. */
export const SMTP_CONNECTIONS = 1_000;
/** Connections from one address (IPv6: one /64): a busy relay keeps some dozens. */
export const SMTP_CONNECTIONS_PER_ADDRESS = 100;
/** Commands refused for good since the last accepted message: who guesses recipients ends here. Postfix's is 20. */
export const SMTP_ERRORS = 50;
/** Commands before AUTH on submission: EHLO, STARTTLS, EHLO and some tries. */
export const SMTP_UNAUTHENTICATED_COMMANDS = 20;

// --- Outbound ---

/** Characters of a remote server's reply that are kept: reports show them, and a note has many. */
export const REMOTE_REPLY_CHARACTERS = 500;
/** Octets of one reply of a remote server. EHLO's are the longest, a few hundred. */
export const SMTP_OUT_REPLY_OCTETS = 64 * KIB;
/** To a TCP connection. Hosts that answer do so in seconds; others would hold one of few slots. */
export const SMTP_OUT_CONNECT_MS = 30_000;
/** To the greeting, and again to the end of a TLS handshake. RFC 5321 §4.5.3.2.1. */
export const SMTP_OUT_GREETING_MS = 5 * 60_000;
/** To the reply to MAIL or RCPT. RFC 5321 §4.5.3.2.2 and §4.5.3.2.3. */
export const SMTP_OUT_COMMAND_MS = 5 * 60_000;
/** To the reply to DATA, and without progress within it: two and three minutes in RFC 5321 §4.5.3.2.4 and §4.5.3.2.5. */
export const SMTP_OUT_DATA_MS = 3 * 60_000;
/** To the reply to the last dot. RFC 5321 §4.5.3.2.6: what is given up too early is sent twice. */
export const SMTP_OUT_END_MS = 10 * 60_000;
/** All of one message on one connection: what trickles by the others ends here. */
export const SMTP_OUT_TRANSACTION_MS = 60 * 60_000;
/** Recipients of one transaction: as many as every server takes (RFC 5321 §4.5.3.1.8). */
export const SMTP_OUT_RECIPIENTS = 100;
/** MX records of a domain that are looked at. */
export const MAIL_EXCHANGES = 20;
/** Addresses that one attempt tries: RFC 5321 §5.1 wants two at least. */
export const HOPS_PER_ATTEMPT = 6;
/** Sessions at once, of all organizations: a descriptor, some frames of a message and a TLS state each. */
export const OUTBOUND_CONNECTIONS = 100;
/** Sessions at once to one domain or smarthost: large providers refuse more of a sender that they do not know. */
export const OUTBOUND_CONNECTIONS_PER_DOMAIN = 10;
/** Messages over one connection: Postfix and Exim servers end it after about so many. */
export const OUTBOUND_MESSAGES_PER_CONNECTION = 100;
/** A connection without work is kept for so long, and so many are. */
export const OUTBOUND_IDLE_MS = 2_000;
export const OUTBOUND_IDLE_CONNECTIONS = 50;
/** No server of a domain could be reached: its other mail is put off without a try for so long. */
export const OUTBOUND_UNREACHABLE_MS = 60_000;
/** Destinations remembered, beyond which those are forgotten that have no session and no failure of late. */
export const OUTBOUND_DESTINATIONS = 1_000;
/** Organizations that were made or removed are noticed after this long. */
export const OUTBOUND_LOOK_MS = 5_000;
/** All sessions to a destination are taken: a message is looked at again after this long, or when one ends. */
export const OUTBOUND_BUSY_MS = 60_000;
/** Domains of one message that are looked up at once. */
export const DNS_QUESTIONS_AT_ONCE = 20;
/** Messages opened and worked on at once; each holds its envelope. */
export const OUTBOUND_MESSAGES = 200;
/** The part of all sessions, and of all messages worked on, that one organization may have: others go on while its wait. */
export const OUTBOUND_SHARE = 0.5;
/** Messages that are begun with in one turn of the event loop: half a millisecond each. */
export const OUTBOUND_STARTS = 16;
/** From one attempt to the next: short first, for greylisting, then as RFC 5321 §4.5.4.1 has it. */
export const OUTBOUND_RETRY_MS = [
  5 * 60_000,
  10 * 60_000,
  30 * 60_000,
  60 * 60_000,
  2 * 3_600_000,
  4 * 3_600_000,
] as const;
/** Each wait is up to this part longer or shorter, so that what failed together is not tried together. */
export const RETRY_JITTER = 0.1;
/** RFC 5321 §4.5.4.1: four to five days at least. */
export const OUTBOUND_EXPIRY_MS = 5 * 24 * 3_600_000;
/** The sender hears of a delay after so long. */
export const OUTBOUND_DELAY_REPORT_MS = 4 * 3_600_000;
/** Keys that could not be opened are asked for again after this long. */
export const OUTBOUND_KEY_RETRY_MS = 30_000;
/** What could not be written down is tried again after this long. */
export const OUTBOUND_REPAIR_MS = 5_000;
/** An administrator's command waits so long for a message that is being sent. */
export const OUTBOUND_SETTLE_MS = 5_000;
/** Without work for so long, a queue lets go of its keys. */
export const OUTBOUND_LEASE_MS = 5_000;
/** Octets of a returned message; of a larger one its header is returned. */
export const REPORT_RETURN_OCTETS = MIB;
/** Octets waiting in the queue of one organization (10 GiB): a smarthost may be away for a weekend. */
export const OUTBOUND_QUEUE_OCTETS = 10 * 1024 * MIB;
/** Recipients elsewhere of one user in an hour, and in a day: a newsletter of a club, not a spammer's night. */
export const SENDING_USER_HOUR = 1_000;
export const SENDING_USER_DAY = 5_000;
/** The same of an organization. */
export const SENDING_ORGANIZATION_HOUR = 20_000;
export const SENDING_ORGANIZATION_DAY = 100_000;
/** Counters kept, some 150 octets each: two of each user and organization that sent of late. */
export const SENDING_COUNTERS = 100_000;
/** RFC 8301 §3.2 wants 2,048 bits; a longer key does not fit one string of a TXT record, and some verifiers fail on it. */
export const DKIM_RSA_BITS = 2_048;
/** DKIM keys of one domain: two that sign, two that wait, and the retired ones. */
export const DKIM_KEYS_PER_DOMAIN = 20;
/** One question to a DNS server. */
export const DNS_TIMEOUT_MS = 5_000;

/** RFC 3461 §4.4: an ENVID has at most 100 characters as it is sent, ... */
export const DSN_ENVELOPE_ID_CHARACTERS = 100;
/** ... and §4.2 an ORCPT at most 500. */
export const DSN_RECIPIENT_CHARACTERS = 500;

// --- IMAP sessions ---

/** Octets of responses that are put together before they are written: fewer system calls, and bounded. */
export const IMAP_OUTPUT_BATCH_OCTETS = 128 * KIB;
/** Octets of one FETCH item above which they go out frame by frame instead of in one buffer. */
export const IMAP_STREAM_OCTETS = 256 * KIB;
/** Messages whose \Seen one FETCH sets in one durable step, before it sends them. */
export const IMAP_SEEN_BATCH = 256;
/** Ranges of UIDs in one VANISHED response: lines of at most 8 KiB or so, what RFC 7162 §4 suggests to clients. */
export const VANISHED_RANGES_PER_RESPONSE = 400;
/** Background downloads are put off while the event loop is this late, for one time in ten: clients feel it then. */
export const BUSY_LOOP_MS = 50;
/** How often the loop's delay is taken, and for how long the figure of it stands. */
export const LOOP_SAMPLE_MS = 10;
export const LOOP_WINDOW_MS = 5_000;
/** RFC 10022 §3.1: a batch of UIDBATCHES may be as small as this. */
export const IMAP_LEAST_BATCH = 500;
/** Pairs of message number and UID that are looked at in QRESYNC's match data; a client sends a dozen. */
export const IMAP_QRESYNC_MATCHES = 1_000;
/** Octets that a client may send ahead of the command that runs; beyond it nothing more is read from its socket. */
export const IMAP_PIPELINE_OCTETS = 64 * KIB;
/**
 * COMPRESS, server to client. On text, level 1 takes a sixth of the time of level 6 for results a fifth larger (9 and 54
 * ms a megabyte, to 38 and 32%). With a window of 8 KiB and memLevel 6 a deflater has 120 KB instead of 220, and results
 * are within a twentieth: what repeats in IMAP's replies repeats soon.
 */
export const IMAP_DEFLATE_LEVEL = 1;
export const IMAP_DEFLATE_WINDOW_BITS = 13;
export const IMAP_DEFLATE_MEM_LEVEL = 6;
/** A deflater is given up this long after its last reply: longer than a client that works leaves between commands. */
export const IMAP_DEFLATE_REST_MS = 2_000;
/** Up to this, with no deflater at hand, replies are stored: IDLE's news would gain less than a packet's own header has. */
export const IMAP_STORED_OCTETS = 256;
/**
 * COMPRESS, client to server: octets inflated in one step; some steps are held ahead of a reader that takes no more.
 * Smaller buffers would come from Node's shared pool, which a connection at rest would keep from being freed.
 */
export const IMAP_INFLATE_CHUNK_OCTETS = 32 * KIB;
/** Size of one appended message: what most senders on the Internet stay below. */
export const IMAP_APPEND_OCTETS = 64 * MIB;
/** Octets of all messages of one APPEND: what is left of a refused one can still be skipped (IMAP_SWALLOW_OCTETS). */
export const IMAP_MULTIAPPEND_OCTETS = 64 * MIB;
/** Octets, of all connections, that are sealed and wait for the next message of their APPEND, in memory or in the spool. */
export const IMAP_WAITING_OCTETS = 256 * MIB;
/** From the connection to a login: a person may type it, an idle probe may not hold a slot for long. */
export const IMAP_PREAUTH_MS = 120_000;
/** RFC 9051 §5.4: at least 30 minutes without a command; a little more for clients that renew IDLE just in time. */
export const IMAP_AUTOLOGOUT_MS = 31 * 60_000;
/** Time without any progress in the middle of a command or a literal, or of a reader that takes nothing. */
export const IMAP_STALL_MS = 5 * 60_000;
/** In IDLE, a sign of life before NAT tables forget the connection. */
export const IMAP_KEEPALIVE_MS = 120_000;
/** From STARTTLS or an accepted connection to a finished TLS handshake. */
export const IMAP_HANDSHAKE_MS = 30_000;
/** From BYE at shutdown to the end of the connection. */
export const IMAP_CLOSE_MS = 5_000;
/** Commands in a row that are answered BAD before the client counts as broken, or as no IMAP client at all. */
export const IMAP_BAD_COMMANDS = 20;
export const IMAP_PREAUTH_BAD_COMMANDS = 5;
/** Failed logins of one connection; the delays between them are the authenticator's. */
export const IMAP_FAILED_LOGINS = 5;
/** Connections of one server, of one address and of one user: mail clients hold up to a dozen each. */
export const IMAP_CONNECTIONS = 20_000;
export const IMAP_CONNECTIONS_PER_ADDRESS = 500;
export const IMAP_CONNECTIONS_PER_USER = 64;

// --- Directory ---

/** RFC 5321 §4.5.3.1.1. */
export const LOCAL_PART_OCTETS = 64;
/** Mailboxes of expanded groups kept in memory, at about 100 octets each: ten groups of GROUP_MEMBERS. */
export const CACHED_GROUP_MAILBOXES = 100_000;
/** Users of a group and of all groups within it (and groups as many): one delivery is one journal record. */
export const GROUP_MEMBERS = 10_000;
/** argon2id as OWASP recommends: 19 MiB, two passes, one lane; about 20 ms. */
export const ARGON2 = {
  memoryKib: 19 * 1024,
  passes: 2,
  parallelism: 1,
  tagOctets: 32,
  saltOctets: 16,
} as const;
/** Octets of a password: longer ones only cost time. */
export const PASSWORD_OCTETS = 1_024;
/** Logins waiting for their argon2: at 50 a second a core, this is some seconds. */
export const WAITING_LOGINS = 500;
/** Verified credentials remembered, each 32 octets of HMAC and its key. */
export const VERIFIED_CREDENTIALS = 50_000;
/** A verified credential is checked anew after this long, so that a changed hash cost takes effect. */
export const VERIFIED_CREDENTIAL_MS = 15 * 60_000;
/** Passwords hashed at once, at 19 MiB and 20 ms of a core each: 400 logins a second. */
export const LOGIN_HASHES_AT_ONCE = 8;
/** Failed logins of one network are answered after this long at first, doubled each time ... */
export const LOGIN_DELAY_MS = 500;
/** ... up to this: long enough to make guessing hopeless, short enough not to look like a dead server. */
export const LOGIN_DELAY_MOST_MS = 16_000;
/** Failures of a network or at a user name before further attempts wait; more than LOGIN_HASHES_AT_ONCE. */
export const LOGIN_FREE_FAILURES = 20;
/** After those, one attempt of a network in this time: less than 60 guesses in the first ten minutes. */
export const LOGIN_NETWORK_INTERVAL_MS = 16_000;
/** And one attempt at a user name in this time, from wherever: 17,000 a day, of a thousand networks together. */
export const LOGIN_USER_INTERVAL_MS = 5_000;
/** Attempts that would wait longer are refused; so a name is free again this long after the last guess at it. */
export const LOGIN_WAIT_MOST_MS = 30_000;
/** Networks, and user names, whose failures are remembered; the oldest goes first. */
export const LOGIN_DEBTORS = 50_000;
/** New mailboxes made side by side: their operations share the journal's syncs. */
export const MAILBOXES_CREATED_AT_ONCE = 16;

// --- Command line ---

/** Threads of libuv's pool: argon2, file syncs and zstd wait in it side by side, and its default of 4 starves them. */
export const THREAD_POOL_SIZE = 24;
/** Users of one import: one transaction, and one request that fits ADMIN_REQUEST_OCTETS. */
export const IMPORT_USERS = 10_000;
/** An import of that many users, at some 400 octets each with long names and passwords. */
export const ADMIN_REQUEST_OCTETS = 8 * MIB;
/** One record of an answer: a group of GROUP_MEMBERS with addresses of 100 octets. */
export const ADMIN_RECORD_OCTETS = 4 * MIB;
/** A request comes in one piece from a program on the same machine; a client that sends none holds no connection. */
export const ADMIN_REQUEST_MS = 10_000;
/** An answer may take as long as IMPORT_USERS argon2 hashes on one core and their keys. */
export const ADMIN_ANSWER_MS = 15 * 60_000;
/** Commands at once: an administrator, and scripts that run many side by side. */
export const ADMIN_CONNECTIONS = 128;
/** How long a command waits for a server that holds the data directory and does not answer yet, or no more. */
export const ADMIN_REACH_MS = 10_000;
/** A probe's answer; whoever runs one does it every few seconds. */
export const HEALTH_MS = 5_000;
/** From a listener's announcement to its greeting, at the start of a demo. */
export const DEMO_GREETING_MS = 10_000;
/** Users of a demo; every one costs a key pair, a mailbox and about 200 KB of disk. */
export const DEMO_USERS = 9_998;

// --- Server ---

/** From SIGTERM to the end: what is in flight is finished within it, and supervisors wait 30 s before they kill. */
export const SHUTDOWN_MS = 25_000;
/** Log lines waiting for a slow or full disk; later ones are dropped, because mail matters more. */
export const LOG_BUFFER_OCTETS = 8 * MIB;
/** How often certificate files are looked at. Whoever renews them does it days ahead. */
export const CERTIFICATE_POLL_MS = 60_000;

// --- HTTP ---

/** An autodiscover request has some 400 octets. */
export const HTTP_BODY_OCTETS = 16 * KIB;
/** From the first octet of a request to its last. */
export const HTTP_REQUEST_MS = 10_000;
/** Without an octet in either direction. */
export const HTTP_IDLE_MS = 30_000;
/** Probes and proxies keep a few each. */
export const HTTP_CONNECTIONS = 1_000;
/** What is asked whether it is ready answers at once, or is not. */
export const HTTP_PROBE_MS = 2_000;
/** Half-made accounts are tried again after this long. */
export const ACCOUNT_RETRY_MS = 30_000;
