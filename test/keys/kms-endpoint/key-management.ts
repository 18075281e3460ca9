/**
 * CreateKey, CreateAlias, PutKeyPolicy and GetKeyPolicy as the KMS API reference has them, on parsed JSON. No I/O. Key
 * policies alone decide here, while CreateKey asks those of IAM at AWS: every caller of the account may.
 */
import { type Caller, type Key, metadata } from './key-table.ts';
import { KmsError } from './kms-error.ts';
import type { Operations, Request } from './operations.ts';
import { type Access, authorize, isAllowed, type KeyPolicy } from './policy.ts';

/** Quotas, "Key policy document size". */
const POLICY_OCTETS = 32 * 1024;

export const KEY_MANAGEMENT: Operations = {
  CreateKey({ keys, caller, input }) {
    if ((input['KeySpec'] ?? 'SYMMETRIC_DEFAULT') !== 'SYMMETRIC_DEFAULT') {
      throw new KmsError('ValidationException', 'Only symmetric keys are made here.');
    }
    const given = input['Policy'] === undefined ? null : readPolicy(input['Policy']);
    const key = keys.create({ region: caller.region, account: accountOf(caller) }, (made) => {
      if (given === null) return;
      refuseLockout(given, made.arn, caller, input);
      made.policy = given;
    });
    return { KeyMetadata: metadata(key) };
  },

  /** Authorized on the key, and by IAM on the alias, which is not asked here. */
  CreateAlias({ keys, caller, input }) {
    const name = input['AliasName'];
    if (typeof name !== 'string' || !/^alias\/[\w/-]{1,250}$/.test(name) || name.startsWith('alias/aws/')) {
      throw new KmsError('InvalidAliasNameException', `Invalid alias name: ${name}`);
    }
    const key = authorizedKey({ keys, caller, input }, 'TargetKeyId', 'kms:CreateAlias');
    if (keys.all.some((other) => other.region === key.region && keys.aliasesOf(other).includes(name))) {
      throw new KmsError('AlreadyExistsException', `An alias with the name ${name} already exists`);
    }
    keys.alias(name, key);
    return null;
  },

  PutKeyPolicy({ keys, caller, input }) {
    refuseOtherNames(input['PolicyName']);
    const key = authorizedKey({ keys, caller, input }, 'KeyId', 'kms:PutKeyPolicy');
    const policy = readPolicy(input['Policy']);
    refuseLockout(policy, key.arn, caller, input);
    key.policy = policy;
    return null;
  },

  GetKeyPolicy({ keys, caller, input }) {
    refuseOtherNames(input['PolicyName']);
    const key = authorizedKey({ keys, caller, input }, 'KeyId', 'kms:GetKeyPolicy');
    return { Policy: JSON.stringify(key.policy, null, 2), PolicyName: 'default' };
  },
};

/** By id or ARN: none of these operations takes an alias. */
function authorizedKey({ keys, caller, input }: Request, field: string, action: string): Key {
  if (String(input[field]).includes('alias/')) {
    throw new KmsError('InvalidArnException', `${input[field]} is an alias.`);
  }
  const key = keys.find(input[field], caller);
  authorize(key.policy, accessOf(key.arn, caller, action));
  return key;
}

/** `default` is the only name there is. */
function refuseOtherNames(name: unknown): void {
  if ((name ?? 'default') !== 'default') throw new KmsError('NotFoundException', `No such policy: ${name}`);
}

function readPolicy(text: unknown): KeyPolicy {
  const malformed = (why: string) => new KmsError('MalformedPolicyDocumentException', why);
  if (typeof text !== 'string' || text.length > POLICY_OCTETS)
    throw malformed('Policy is missing or too long');
  let policy: KeyPolicy;
  try {
    policy = JSON.parse(text);
  } catch {
    throw malformed('Policy is not JSON');
  }
  if (policy.Version !== '2012-10-17' || !Array.isArray(policy.Statement)) {
    throw malformed('Policy has no version 2012-10-17 or no statements');
  }
  for (const { Effect, Principal, Action, Resource } of policy.Statement) {
    if (!['Allow', 'Deny'].includes(Effect) || !Principal || !Action || !Resource) {
      throw malformed('A statement lacks Effect, Principal, Action or Resource');
    }
  }
  return policy;
}

/** The lockout safety check: who asks must be able to put the next policy. */
function refuseLockout(policy: KeyPolicy, arn: string, caller: Caller, input: Request['input']): void {
  if (input['BypassPolicyLockoutSafetyCheck'] === true) return;
  if (isAllowed(policy, accessOf(arn, caller, 'kms:PutKeyPolicy'))) return;
  const why = 'The new key policy will not allow you to update the key policy in the future.';
  throw new KmsError('MalformedPolicyDocumentException', why);
}

const accessOf = (keyArn: string, { principal }: Caller, action: string): Access => ({
  principal,
  action,
  keyArn,
  context: {},
});

const accountOf = ({ principal }: Caller): string => principal.split(':')[4]!;
