/** What is wrong with a configuration, all of it at once; the command line ends with exit 2. */
import type { z } from 'zod';

export interface ConfigProblem {
  /** `listeners.imaps.port`; empty for the whole. */
  readonly path: string;
  /** Who said it: a file, or a variable of the environment. Null where nobody did. */
  readonly source: string | null;
  /** What was expected there. Never quotes the value: it may be a secret put in the wrong place. */
  readonly expected: string;
}

export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(problemLine).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

function problemLine({ path, source, expected }: ConfigProblem): string {
  return [source, path, expected].filter((part) => part !== null && part !== '').join(': ');
}

type Issue = z.core.$ZodIssue;

/** One problem an unknown key, and one a wrong value: path and words, without source. */
export function problemsOf(
  issues: readonly Issue[],
  parent: readonly PropertyKey[] = [],
): { path: string; expected: string }[] {
  return issues.flatMap((issue) => {
    const at = [...parent, ...issue.path];
    const path = at.join('.');
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.map((key) => ({ path: [...at, key].join('.'), expected: 'there is no such key' }));
      case 'invalid_union': {
        // The branch that got furthest is the one that was meant: an object with a wrong key inside.
        const meant = issue.errors.find((branch) => branch.some(isInside));
        if (meant !== undefined) return problemsOf(meant as Issue[], at);
        const choices = new Set(issue.errors.flat().map((inner) => wordsOf(inner as Issue)));
        return [{ path, expected: [...choices].join(', or ').replaceAll(', or expected', ', or') }];
      }
      default:
        return [{ path, expected: wordsOf(issue) }];
    }
  });
}

const isInside = (issue: { path: readonly PropertyKey[]; code: string }): boolean =>
  issue.path.length > 0 || issue.code === 'unrecognized_keys';

/** zod's sentences, without what they say of the value received. */
function wordsOf({ message }: Issue): string {
  return message.replace(/^[A-Z][a-z ]+: (?=expected)/, '').replace(/, received .*$/, '');
}
