/**
 * Configuration from the environment: `LETTERLOCK_` and the key's path in capitals, words parted by `_`
 * (`dataDirectory` is LETTERLOCK_DATA_DIRECTORY). With `_FILE` at its end a variable names a file that holds the value,
 * for what should not be seen in a process list. Lists are parted by commas.
 */
import { readFile } from 'node:fs/promises';
import type { ConfigProblem } from './config-error.ts';
import { type ConfigKey, outline } from './outline.ts';

const PREFIX = 'LETTERLOCK_';
const FILE_SUFFIX = '_FILE';
/** Kubernetes sets these in every pod for a Service named letterlock or letterlock-...; nobody meant them as settings. */
const SERVICE_LINK = /_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$/;

export interface EnvironmentSetting {
  readonly path: readonly string[];
  readonly variable: string;
  readonly value: unknown;
}

export interface EnvironmentSettings {
  /** In the order of the schema: a section's own value before what is in it. */
  readonly settings: readonly EnvironmentSetting[];
  readonly problems: readonly ConfigProblem[];
}

/** `listeners.imaps.port` is LETTERLOCK_LISTENERS_IMAPS_PORT. */
export function variableOf(path: readonly string[]): string {
  return PREFIX + path.map((name) => name.replace(/[A-Z]/g, '_$&').toUpperCase()).join('_');
}

export async function readEnvironment(environment: NodeJS.ProcessEnv): Promise<EnvironmentSettings> {
  const settings: EnvironmentSetting[] = [];
  const problems: ConfigProblem[] = [];
  const unknown = new Set(Object.keys(environment).filter((name) => name.startsWith(PREFIX)));
  const keys = outline().filter(({ types }) => types.some((type) => type !== 'object'));
  // First all that are named whole: LETTERLOCK_TLS_KEY_FILE is tls.keyFile.
  for (const { path } of keys) unknown.delete(variableOf(path));
  for (const key of keys) {
    const variable = variableOf(key.path);
    const fileVariable = variable + FILE_SUFFIX;
    const isFile = unknown.delete(fileVariable);
    const own = environment[variable];
    const path = key.path.join('.');
    if (isFile && own !== undefined) {
      problems.push({ path, source: fileVariable, expected: `expected either it or ${variable}, not both` });
    } else if (isFile) {
      const content = await readSecret(environment[fileVariable]!);
      if (content === null) {
        problems.push({
          path,
          source: fileVariable,
          expected: 'expected the name of a file that can be read',
        });
      } else settings.push({ path: key.path, variable: fileVariable, value: parseValue(content, key) });
    } else if (own !== undefined) {
      settings.push({ path: key.path, variable, value: parseValue(own, key) });
    }
  }
  for (const variable of unknown) {
    if (SERVICE_LINK.test(variable)) continue;
    problems.push({ path: '', source: variable, expected: 'no key of the configuration has this name' });
  }
  return { settings, problems };
}

/** What the text stands for among the key's types; a text that is none of them is left for the schema to refuse. */
function parseValue(text: string, { types }: ConfigKey): unknown {
  if (types.includes('null') && (text === 'null' || text === '')) return null;
  if (types.includes('boolean') && (text === 'true' || text === 'false')) return text === 'true';
  if (types.includes('integer') && /^-?\d{1,16}$/.test(text)) return Number(text);
  if (types.includes('array')) {
    return text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  }
  return text;
}

async function readSecret(path: string): Promise<string | null> {
  try {
    return (await readFile(path, 'utf8')).trimEnd();
  } catch {
    return null;
  }
}
