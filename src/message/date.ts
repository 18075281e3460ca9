/** The Date field (RFC 5322 §3.3), as far as SEARCH SENTBEFORE, SENTON and SENTSINCE, and SORT need it. */
import { StructuredField } from './structured-field.ts';

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
/** [day-of-week ","] day month year. */
const DATE = /^(?:[a-z]+\.? ?,? ?)?(\d{1,2})[ -]+([a-z]{3})[a-z]*\.?[ ,-]+(\d{2,4})(?!\d)/i;
const TIME = /^ *(\d{1,2}) ?: ?(\d{2})(?: ?: ?(\d{2}))? ?([+-]\d{4}|[a-z]+)?/i;
/** Hours, RFC 5322 §4.3. */
const ZONES: Readonly<Record<string, number>> = {
  EST: -5,
  EDT: -4,
  CST: -6,
  CDT: -5,
  MST: -7,
  MDT: -6,
  PST: -8,
  PDT: -7,
};

/**
 * The calendar day as written, time and zone disregarded (RFC 9051 §6.4.4), as milliseconds of its midnight in UTC; null
 * when the value does not begin with a date that exists. Years of two or three digits as RFC 5322 §4.3 reads them.
 */
export function sentDay(value: string): number | null {
  const match = DATE.exec(beginningOf(value));
  if (match === null) return null;
  const day = Number(match[1]);
  const month = MONTHS.indexOf(match[2]!.toLowerCase());
  const year = fullYear(match[3]!);
  const date = new Date(Date.UTC(year, month, day));
  return month >= 0 && date.getUTCMonth() === month && date.getUTCDate() === day ? date.getTime() : null;
}

/**
 * The moment, in milliseconds: a time that is missing or wrong counts as midnight, a zone as UTC (RFC 5256 §2.2). Null as
 * for sentDay.
 */
export function sentMoment(value: string): number | null {
  const day = sentDay(value);
  const text = beginningOf(value);
  const time = TIME.exec(text.slice(DATE.exec(text)?.[0].length ?? 0));
  if (day === null || time === null) return day;
  const [hour, minute, second] = [Number(time[1]), Number(time[2]), Number(time[3] ?? 0)];
  if (hour > 23 || minute > 59 || second > 60) return day;
  return day + ((hour * 60 + minute - zoneMinutes(time[4] ?? '')) * 60 + second) * 1000;
}

/** East of Greenwich; 0 for zones whose meaning nobody knows (RFC 5322 §4.3). */
function zoneMinutes(zone: string): number {
  const offset = /^([+-])(\d{2})(\d{2})$/.exec(zone);
  if (offset === null) return (ZONES[zone.toUpperCase()] ?? 0) * 60;
  const minutes = Number(offset[2]) * 60 + Number(offset[3]);
  return offset[1] === '-' ? -minutes : minutes;
}

function fullYear(digits: string): number {
  const year = Number(digits);
  if (digits.length === 4) return year;
  return digits.length === 2 && year < 50 ? year + 2000 : year + 1900;
}

/** Room for day-of-week, day, month and year. What is matched stays short whatever the field holds. */
const DATE_CHARACTERS = 64;

/** Runs of white space and comments as one space, none at the front. */
function beginningOf(value: string): string {
  const field = new StructuredField(value);
  let text = '';
  field.skipSpace();
  while (!field.isAtEnd && text.length < DATE_CHARACTERS) {
    const start = field.position;
    field.skipSpace();
    if (field.position > start) text += ' ';
    else text += field.text.charAt(field.position++);
  }
  return text;
}
