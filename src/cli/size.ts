/** Sizes as an operator writes them: `500M`, `1.5G`, `1048576`. Units are powers of 1,024. */
const SIZE = /^(\d{1,15}(?:\.\d{1,3})?)([KMGT]?)(i?B)?$/i;
const UNITS = ['', 'K', 'M', 'G', 'T'];

/** @returns Octets, rounded to whole ones; null for `none`; undefined for what is no size. */
export function parseSize(text: string): number | null | undefined {
  if (text.toLowerCase() === 'none') return null;
  const match = SIZE.exec(text.trim());
  if (match === null) return undefined;
  const octets = Math.round(Number(match[1]) * 1024 ** UNITS.indexOf(match[2]!.toUpperCase()));
  return octets > 0 && Number.isSafeInteger(octets) ? octets : undefined;
}

/** The largest unit that leaves a whole number or one decimal: `5G`, `1.5G`, `1000`. */
export function formatSize(octets: number): string {
  for (let power = UNITS.length - 1; power > 0; power--) {
    const tenths = (octets * 10) / 1024 ** power;
    if (tenths >= 10 && Number.isInteger(tenths)) return `${tenths / 10}${UNITS[power]}`;
  }
  return String(octets);
}
