/** The keys of the configuration and the types of their values, read from the schema; environment.ts needs both. */
import { z } from 'zod';
import { settingsSchema } from './schema.ts';

export type KeyType = 'string' | 'integer' | 'boolean' | 'null' | 'array' | 'object';

export interface ConfigKey {
  readonly path: readonly string[];
  /** Every type that a value may have; `object` also holds keys of its own. */
  readonly types: readonly KeyType[];
}

interface JsonSchema {
  readonly type?: KeyType | readonly KeyType[];
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
}

/** All keys, sections before what is in them. */
export function outline(): readonly ConfigKey[] {
  return [...below(z.toJSONSchema(settingsSchema, { io: 'input' }) as JsonSchema, [])];
}

function* below(schema: JsonSchema, parent: readonly string[]): Generator<ConfigKey> {
  for (const alternative of [schema, ...(schema.anyOf ?? [])]) {
    for (const [name, property] of Object.entries(alternative.properties ?? {})) {
      const path = [...parent, name];
      yield { path, types: typesOf(property) };
      yield* below(property, path);
    }
  }
}

function typesOf({ type, anyOf = [] }: JsonSchema): readonly KeyType[] {
  const own = type === undefined ? [] : typeof type === 'string' ? [type] : type;
  return [...own, ...anyOf.flatMap(typesOf)];
}
