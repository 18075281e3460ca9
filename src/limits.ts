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
