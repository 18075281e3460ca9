/**
 * Key policies in the language of IAM, as far as KMS keys need it: who may do what, under which encryption context. What
 * is not known here is an error and never a permission.
 */
import { KmsError } from './kms-error.ts';

type OneOrMore = string | readonly string[];

export interface Statement {
  readonly Sid?: string;
  readonly Effect: 'Allow' | 'Deny';
  readonly Principal: '*' | { readonly AWS: OneOrMore };
  readonly Action: OneOrMore;
  readonly Resource: OneOrMore;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, OneOrMore>>>>;
}

export interface KeyPolicy {
  readonly Version: '2012-10-17';
  readonly Statement: readonly Statement[];
}

export interface Access {
  /** ARN of who asks. */
  readonly principal: string;
  /** `kms:Decrypt`. */
  readonly action: string;
  readonly keyArn: string;
  readonly context: Readonly<Record<string, string>>;
}

/** @throws KmsError AccessDeniedException unless a statement allows it and none denies it. */
export function authorize(policy: KeyPolicy, access: Access): void {
  const effects = policy.Statement.filter((statement) => applies(statement, access)).map(
    ({ Effect }) => Effect,
  );
  const { principal, action, keyArn } = access;
  const refused = `User: ${principal} is not authorized to perform: ${action} on resource: ${keyArn}`;
  if (effects.includes('Deny')) {
    throw new KmsError(
      'AccessDeniedException',
      `${refused} with an explicit deny in a resource-based policy`,
    );
  }
  if (!effects.includes('Allow')) {
    const why = `because no resource-based policy allows the ${action} action`;
    throw new KmsError('AccessDeniedException', `${refused} ${why}`);
  }
}

export function isAllowed(policy: KeyPolicy, access: Access): boolean {
  try {
    authorize(policy, access);
    return true;
  } catch (error) {
    if (error instanceof KmsError) return false;
    throw error;
  }
}

function applies({ Principal, Action, Resource, Condition = {} }: Statement, access: Access): boolean {
  const principals = Principal === '*' ? ['*'] : listed(Principal.AWS);
  return (
    principals.some((name) => isPrincipal(name, access.principal)) &&
    listed(Action).some((pattern) => isLike(pattern, access.action)) &&
    listed(Resource).some((pattern) => isLike(pattern, access.keyArn)) &&
    Object.entries(Condition).every(([operator, keys]) =>
      Object.entries(keys).every(([key, values]) =>
        holds(operator, contextValue(key, access), listed(values)),
      ),
    )
  );
}

/** The root of an account stands for the account. */
function isPrincipal(name: string, principal: string): boolean {
  const root = /^(arn:[\w-]+:iam::\d{12}:)root$/.exec(name);
  return name === '*' || name === principal || (root !== null && principal.startsWith(root[1]!));
}

/** kms:EncryptionContext:<name>: the names compare without regard to case, as condition keys do. */
function contextValue(key: string, { context }: Access): string | undefined {
  const name = /^kms:EncryptionContext:(.+)$/i.exec(key)?.[1]?.toLowerCase();
  if (name === undefined) throw new Error(`The condition key ${key} is not known here.`);
  return Object.entries(context).find(([pair]) => pair.toLowerCase() === name)?.[1];
}

/** An absent value fulfils only what is negated. */
function holds(operator: string, value: string | undefined, expected: readonly string[]): boolean {
  switch (operator) {
    case 'StringEquals':
      return value !== undefined && expected.includes(value);
    case 'StringNotEquals':
      return value === undefined || !expected.includes(value);
    case 'StringLike':
      return value !== undefined && expected.some((pattern) => isLike(pattern, value));
    case 'StringNotLike':
      return value === undefined || !expected.some((pattern) => isLike(pattern, value));
    case 'Null':
      return expected.includes(String(value === undefined));
    default:
      throw new Error(`The condition operator ${operator} is not known here.`);
  }
}

function isLike(pattern: string, value: string): boolean {
  const literal = pattern.replace(/[\\^$.|+()[\]{}]/g, '\\$&');
  const source = literal.replaceAll('*', '.*').replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's').test(value);
}

const listed = (values: OneOrMore): readonly string[] => (typeof values === 'string' ? [values] : values);
