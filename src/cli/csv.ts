/** Comma-separated values (RFC 4180), LF alone accepted as a line end too. */

export interface CsvRow {
  /** Of its first character, from 1. */
  readonly line: number;
  readonly fields: readonly string[];
}

export class CsvError extends Error {
  override readonly name = 'CsvError';
  readonly line: number;

  constructor(line: number, sentence: string) {
    super(sentence);
    this.line = line;
  }
}

/** One field and what ends it. A quote is doubled inside quotes, and has no other place. */
const FIELD = /(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r?\n|$)/y;

/** Every row with something in it; empty lines are passed over. @throws CsvError. */
export function* parseCsv(text: string): Generator<CsvRow> {
  let line = 1;
  let at = 0;
  while (at < text.length) {
    const fields: string[] = [];
    const first = line;
    for (let isEnd = false; !isEnd; ) {
      FIELD.lastIndex = at;
      const match = FIELD.exec(text);
      if (match === null) throw new CsvError(line, 'a quote is not closed, or stands inside a field');
      const [whole, quoted, plain, end] = match;
      fields.push(quoted?.replaceAll('""', '"') ?? plain!);
      line += whole.split('\n').length - 1;
      at += whole.length;
      isEnd = end !== ',';
    }
    if (fields.length > 1 || fields[0] !== '') yield { line: first, fields };
  }
}
