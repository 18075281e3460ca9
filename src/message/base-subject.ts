/** The subject without what replies and forwards put around it. RFC 5256 §2.1, §5 `subject`. */
import { SORT_SUBJECT_CHARACTERS } from '../limits.ts';

const TRAILER = /(?:\(fwd\)|[ \t])+$/i;
/** subj-refwd with the blobs before it. */
const LEADER = /^(?:[ \t]|(?:\[[^[\]]*\][ \t]*)*(?:re|fwd?)[ \t]*(?:\[[^[\]]*\][ \t]*)?:)/i;
const BLOB = /^\[[^[\]]*\][ \t]*(?=.)/s;
const FORWARDED = /^\[fwd:(.*)\]$/is;

/** @param subject Decoded. Cut at SORT_SUBJECT_CHARACTERS: each step below reads it from its start. */
export function baseSubject(subject: string): string {
  let base = subject.slice(0, SORT_SUBJECT_CHARACTERS).replace(/\s+/g, ' ');
  for (;;) {
    base = withoutLeaders(base.replace(TRAILER, ''));
    const forwarded = FORWARDED.exec(base);
    if (forwarded === null) return base;
    base = forwarded[1]!;
  }
}

function withoutLeaders(text: string): string {
  let rest = text;
  for (;;) {
    const next = rest.replace(LEADER, '').replace(BLOB, '');
    if (next === rest) return rest;
    rest = next;
  }
}
