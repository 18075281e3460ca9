/** `date` (SEARCH) and `date-time` (APPEND, INTERNALDATE). RFC 9051 §9. */
import type { EpochDay } from './ast.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;
const DATE = /^(\d{1,2})-([A-Za-z]{3})-(\d{4})$/;
// date-day-fixed is (SP DIGIT) / 2DIGIT; one digit alone is what some clients send.
const DATE_TIME = /^([ \d]?\d)-([A-Za-z]{3})-(\d{4}) (\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})$/;
const DAY_MS = 86_400_000;

/** `1-Feb-1994`. @returns null when it is no date of the calendar. */
export function parseDate(text: string): EpochDay | null {
  const match = DATE.exec(text);
  if (match === null) return null;
  const ms = midnight(match[3]!, match[2]!, match[1]!);
  return ms === null ? null : ms / DAY_MS;
}

/** `17-Jul-1996 02:44:25 -0700`, without quotes. @returns null when it is no moment; a leap second is the one after. */
export function parseDateTime(text: string): Date | null {
  const match = DATE_TIME.exec(text);
  if (match === null) return null;
  const day = midnight(match[3]!, match[2]!, match[1]!);
  const [hour, minute, second] = [Number(match[4]), Number(match[5]), Number(match[6])];
  const [zoneHours, zoneMinutes] = [Number(match[8]), Number(match[9])];
  if (day === null || hour > 23 || minute > 59 || second > 60 || zoneHours > 23 || zoneMinutes > 59) {
    return null;
  }
  const offset = (match[7] === '-' ? -1 : 1) * (zoneHours * 60 + zoneMinutes);
  return new Date(day + ((hour * 60 + minute - offset) * 60 + second) * 1000);
}

/**
 * `"17-Jul-1996 09:44:25 +0000"`, quotes included; the day is padded with a space. Always in UTC, as the zone that a
 * client appended with is not kept. Whole seconds; years outside 0 to 9999 cannot be written and become the nearest.
 */
export function printDateTime(date: Date): string {
  const year = Math.min(Math.max(date.getUTCFullYear(), 0), 9999);
  const day = String(date.getUTCDate()).padStart(2, ' ');
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  return `"${day}-${MONTHS[date.getUTCMonth()]}-${String(year).padStart(4, '0')} ${time} +0000"`;
}

/** Midnight UTC of a date, or null when the month has no such day. */
function midnight(year: string, monthName: string, day: string): number | null {
  const wanted = monthName.toUpperCase();
  const month = MONTHS.findIndex((name) => name.toUpperCase() === wanted);
  if (month === -1) return null;
  // Date.UTC takes years below 100 for 19xx.
  const date = new Date(0);
  date.setUTCFullYear(Number(year), month, Number(day));
  return date.getUTCMonth() === month && date.getUTCDate() === Number(day) ? date.getTime() : null;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}
