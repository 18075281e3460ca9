/** What config/compose.yaml and the Dockerfile say of a container, as Docker Compose reads it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

export const ROOT = join(import.meta.dirname, '../..');

export interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** `25:2025`, `127.0.0.1:8080:2080`. */
  readonly ports: readonly string[];
  /** `mail:/var/lib/letterlock`, `./tls:/etc/letterlock/tls:ro`. */
  readonly volumes: readonly string[];
  readonly read_only: boolean;
  readonly cap_drop: readonly string[];
  readonly security_opt: readonly string[];
  readonly ulimits: Readonly<Record<string, number>>;
  readonly healthcheck: { readonly test: readonly string[] };
  readonly stop_grace_period: string;
  readonly logging: { readonly options: Readonly<Record<string, string>> };
}

type Variables = Readonly<Record<string, string | undefined>>;

/** @throws Error when a variable is missing that the file requires. */
export function readService(file: string, name: string, variables: Variables): Service {
  const { services } = parse(readFileSync(file, 'utf8'), { merge: true });
  const service = interpolated(services[name], variables) as Service;
  // A variable without a value is passed on where it is set.
  const environment = Object.entries(service.environment ?? {})
    .map(([key, value]) => [key, value ?? variables[key]] as const)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [key, String(value)]);
  return { ...service, environment: Object.fromEntries(environment) };
}

/** `${NAME}`, `${NAME:-default}`, `${NAME:?message}`. */
function interpolated(value: unknown, variables: Variables): unknown {
  if (Array.isArray(value)) return value.map((item) => interpolated(item, variables));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, interpolated(inner, variables)]),
    );
  }
  if (typeof value !== 'string') return value;
  return value.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, key: string, kind?: string, words = '') => {
    const given = variables[key] ?? '';
    if (given !== '' || kind === undefined) return given;
    if (kind === '?') throw new Error(`required variable ${key} is missing a value: ${words}`);
    return words;
  });
}

/** ENV and EXPOSE of the image. */
export function readDockerfile(): { readonly environment: Record<string, string>; readonly ports: number[] } {
  const text = readFileSync(join(ROOT, 'Dockerfile'), 'utf8').replaceAll('\\\n', ' ');
  const words = (instruction: string): string[] =>
    [...text.matchAll(new RegExp(`^${instruction} (.*)$`, 'gm'))].flatMap(([, line]) => line!.split(/ +/));
  const environment = words('ENV').map((word) => /^(\w+)=(.*)$/.exec(word)!.slice(1) as [string, string]);
  return { environment: Object.fromEntries(environment), ports: words('EXPOSE').map(Number) };
}

/** The lines of a .env file. */
export function readVariables(text: string): Record<string, string> {
  const lines = text.split('\n').filter((line) => /^\w+=/.test(line));
  return Object.fromEntries(lines.map((line) => [line.split('=', 1)[0]!, line.slice(line.indexOf('=') + 1)]));
}
