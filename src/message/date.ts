/** The Date field (RFC 5322 §3.3), as far as SEARCH SENTBEFORE, SENTON and SENTSINCE need it. */
import { StructuredField } from './structured-field.ts';

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
/** [day-of-week ","] day month year. */
const DATE = /^(?:[a-z]+\.? ?,? ?)?(\d{1,2})[ -]+([a-z]{3})[a-z]*\.?[ ,-]+(\d{2,4})(?!\d)/i;

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
