/** JSON that was sealed, opened again: believed only as far as its schema goes. */
import type { z } from 'zod';
import { IntegrityError } from '../errors.ts';

/** @throws IntegrityError 'format' with `sentence` when the octets are not what the schema says. */
export function storedJson<S extends z.ZodType>(octets: Buffer, schema: S, sentence: string): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(octets.toString('utf8'));
  } catch {
    // Without the JSON error as its cause: that one quotes the text it met.
    throw new IntegrityError('format', sentence);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new IntegrityError('format', sentence);
  return parsed.data;
}
