/**
 * SEARCH keys as tests on a message. RFC 9051 §6.4.4; RFC 5032, RFC 8474 §6, RFC 8514 §4.
 *
 * Each test knows two ways: `quick`, from what the open folder and its index hold, which may answer "cannot say" (null);
 * and `full`, with the message opened. So a search opens only what cheaper keys leave in doubt.
 */
import { sentDay } from '../../message/date.ts';
import { casemap } from '../../message/text.ts';
import type { MessageFlags, MessageSummary, UidSet } from '../../store/types.ts';
import type { SearchKey } from '../wire/ast.ts';
import { rangesContain, resolveSequenceSet, type SequenceSet } from '../wire/sequence-set.ts';
import type { MessageNumbers } from './context.ts';
import { systemFlagBit } from './flags.ts';
import { emailIdOf } from './object-id.ts';
import type { SearchedMessage } from './searched-message.ts';

const DAY_MS = 86_400_000;
/** Shorter terms are in most messages, and not worth a look-up. */
const LOOKED_UP_UNITS = 3;

/** What is known without opening the message. */
export interface Candidate {
  readonly uid: number;
  readonly number: number;
  readonly flags: MessageFlags & { readonly modSeq: number };
  /** Null unless the tests need the index. */
  readonly summary: MessageSummary | null;
}

/** UIDs that may have a case-mapped term, all that have it among them; null when it is not looked up. */
export type LookUp = (term: string) => Promise<UidSet | null>;

export interface SearchTest {
  /** Whether `quick` reads Candidate.summary. */
  readonly needsIndex: boolean;
  /** 0: quick always answers; 1: needs the header; 2: needs the text. Cheaper tests go first. */
  readonly cost: 0 | 1 | 2;
  /**
   * Looks terms up, so that `quick` can rule messages out that cannot have them.
   * @returns UIDs, all that pass the test among them; null when nothing is known.
   */
  narrow(lookUp: LookUp): Promise<UidSet | null>;
  quick(candidate: Candidate): boolean | null;
  full(candidate: Candidate, message: SearchedMessage): Promise<boolean>;
}

/** @param now For keys that count from the present, in milliseconds. */
export function compileSearch(key: SearchKey, numbers: MessageNumbers, now: number): SearchTest {
  const compile = (operand: SearchKey): SearchTest => compileSearch(operand, numbers, now);
  const { count } = numbers;
  switch (key.key) {
    case 'ALL':
      return quickTest(() => true);
    case 'AND':
      return all(key.keys.map(compile));
    case 'OR':
      return either(compile(key.left), compile(key.right));
    case 'NOT':
      return not(compile(key.operand));
    case 'SEQUENCE': {
      if (key.set.isSaved) return savedTest(key.set, numbers);
      const ranges = resolveSequenceSet(key.set, count);
      return quickTest(({ number }) => rangesContain(ranges, number));
    }
    case 'UID': {
      if (key.set.isSaved) return savedTest(key.set, numbers);
      const ranges = resolveSequenceSet(key.set, count === 0 ? 0 : numbers.uidAt(count));
      return quickTest(({ uid }) => rangesContain(ranges, uid));
    }
    case 'FLAG':
      return flagTest(key.flag, key.isSet, numbers);
    case 'MODSEQ':
      return quickTest(({ flags }) => flags.modSeq >= key.modSeq);
    case 'LARGER':
      return indexTest(({ sizeOctets }) => sizeOctets > key.sizeOctets);
    case 'SMALLER':
      return indexTest(({ sizeOctets }) => sizeOctets < key.sizeOctets);
    // Dates are shown in UTC, so that their day is the day in UTC.
    case 'BEFORE':
      return indexTest(({ internalDate }) => dayOf(internalDate) < key.day);
    case 'ON':
      return indexTest(({ internalDate }) => dayOf(internalDate) === key.day);
    case 'SINCE':
      return indexTest(({ internalDate }) => dayOf(internalDate) >= key.day);
    case 'SAVEDBEFORE':
      return indexTest(({ saveDate }) => dayOf(saveDate) < key.day);
    case 'SAVEDON':
      return indexTest(({ saveDate }) => dayOf(saveDate) === key.day);
    case 'SAVEDSINCE':
      return indexTest(({ saveDate }) => dayOf(saveDate) >= key.day);
    case 'OLDER':
      return indexTest(({ internalDate }) => internalDate.getTime() <= now - key.seconds * 1000);
    case 'YOUNGER':
      return indexTest(({ internalDate }) => internalDate.getTime() >= now - key.seconds * 1000);
    case 'EMAILID':
      return indexTest((summary) => emailIdOf(summary) === key.id);
    // RFC 8474 §6: without threads, none has that id.
    case 'THREADID':
      return quickTest(() => false);
    case 'SENTBEFORE':
      return sentTest((day) => day < key.day);
    case 'SENTON':
      return sentTest((day) => day === key.day);
    case 'SENTSINCE':
      return sentTest((day) => day >= key.day);
    case 'BCC':
    case 'CC':
    case 'FROM':
    case 'SUBJECT':
    case 'TO':
      return fieldTest(key.key, key.text);
    case 'HEADER':
      return fieldTest(key.field, key.text);
    case 'BODY':
    case 'TEXT': {
      const needle = casemap(key.text);
      const where = key.key;
      return openedTest(2, needle, (message) => message.textIncludes(needle, where));
    }
    default:
      return key satisfies never;
  }
}

const dayOf = (date: Date): number => Math.floor(date.getTime() / DAY_MS);

function savedTest(set: SequenceSet, numbers: MessageNumbers): SearchTest {
  const saved = new Set(numbers.resolve(set, true));
  return quickTest(({ uid }) => saved.has(uid));
}

function quickTest(test: (candidate: Candidate) => boolean): SearchTest {
  return {
    needsIndex: false,
    cost: 0,
    narrow: async () => null,
    quick: test,
    full: async (candidate) => test(candidate),
  };
}

function indexTest(test: (summary: MessageSummary) => boolean): SearchTest {
  return { ...quickTest((candidate) => test(candidate.summary!)), needsIndex: true };
}

/** @param needle What a message that passes has, its own header or its text; null when it may have anything. */
function openedTest(
  cost: 1 | 2,
  needle: string | null,
  test: (message: SearchedMessage) => Promise<boolean>,
): SearchTest {
  let possible: UidSet | null = null;
  return {
    needsIndex: false,
    cost,
    narrow: async (lookUp) => {
      if (needle !== null && needle.length >= LOOKED_UP_UNITS) possible = await lookUp(needle);
      return possible;
    },
    quick: ({ uid }) => (possible === null || possible.has(uid) ? null : false),
    full: (_candidate, message) => test(message),
  };
}

function flagTest(flag: string, isSet: boolean, numbers: MessageNumbers): SearchTest {
  if (flag.toLowerCase() === '\\recent') return quickTest(({ uid }) => numbers.isRecent(uid) === isSet);
  const bit = systemFlagBit(flag);
  if (bit !== undefined) return quickTest(({ flags }) => ((flags.system & bit) !== 0) === isSet);
  const keyword = flag.toLowerCase();
  return quickTest(
    ({ flags }) => flags.keywords.some((candidate) => candidate.toLowerCase() === keyword) === isSet,
  );
}

/** A message without a Date field matches none of these. */
function sentTest(test: (day: number) => boolean): SearchTest {
  return openedTest(1, null, async (message) => {
    for (const value of await message.rawFieldValues('Date')) {
      const midnight = sentDay(value);
      return midnight !== null && test(Math.floor(midnight / DAY_MS));
    }
    return false;
  });
}

/** An empty text asks only whether the field is there. */
function fieldTest(field: string, text: string): SearchTest {
  const needle = casemap(text);
  return openedTest(1, needle, async (message) =>
    (await message.fieldTexts(field)).some((value) => value.includes(needle)),
  );
}

function not(operand: SearchTest): SearchTest {
  return {
    needsIndex: operand.needsIndex,
    cost: operand.cost,
    narrow: async (lookUp) => {
      await operand.narrow(lookUp);
      return null;
    },
    quick: (candidate) => {
      const answer = operand.quick(candidate);
      return answer === null ? null : !answer;
    },
    full: async (candidate, message) => !(await operand.full(candidate, message)),
  };
}

function all(operands: readonly SearchTest[]): SearchTest {
  const sorted = operands.toSorted((a, b) => a.cost - b.cost);
  return {
    needsIndex: sorted.some(({ needsIndex }) => needsIndex),
    cost: sorted.at(-1)?.cost ?? 0,
    narrow: async (lookUp) => {
      let least: UidSet | null = null;
      for (const operand of sorted) {
        const possible = await operand.narrow(lookUp);
        if (possible !== null && (least === null || possible.size < least.size)) least = possible;
      }
      return least;
    },
    quick: (candidate) => {
      let isCertain = true;
      for (const operand of sorted) {
        const answer = operand.quick(candidate);
        if (answer === false) return false;
        if (answer === null) isCertain = false;
      }
      return isCertain ? true : null;
    },
    full: async (candidate, message) => {
      for (const operand of sorted) {
        if (!(await settled(operand, candidate, message))) return false;
      }
      return true;
    },
  };
}

/** By De Morgan: or is what not, and, not says. */
function either(left: SearchTest, right: SearchTest): SearchTest {
  return not(all([not(left), not(right)]));
}

/** The quick answer where there is one: a deep OR of cheap keys need not be evaluated by promises. */
function settled(
  test: SearchTest,
  candidate: Candidate,
  message: SearchedMessage,
): Promise<boolean> | boolean {
  return test.quick(candidate) ?? test.full(candidate, message);
}
