/** Looks through the keys of a search. */
import type { SearchKey } from './ast.ts';

/** Whether it is true of the key, or of one inside it. */
export function someKey(key: SearchKey, test: (key: SearchKey) => boolean): boolean {
  switch (key.key) {
    case 'AND':
      return key.keys.some((operand) => someKey(operand, test));
    case 'OR':
      return someKey(key.left, test) || someKey(key.right, test);
    case 'NOT':
      return someKey(key.operand, test);
    default:
      return test(key);
  }
}
