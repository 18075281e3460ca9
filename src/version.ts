/** The version of this program, as package.json has it. */
import { readFileSync } from 'node:fs';

// The same place from src/ and from dist/.
export const VERSION = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
