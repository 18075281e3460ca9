/** An error that KMS answers: its type, its HTTP status and its words. KMS API reference, "Errors", "Common Errors". */
export type KmsErrorType =
  | 'AccessDeniedException'
  | 'AlreadyExistsException'
  | 'DependencyTimeoutException'
  | 'DisabledException'
  | 'IncompleteSignature'
  | 'IncorrectKeyException'
  | 'InternalFailure'
  | 'InvalidAliasNameException'
  | 'InvalidArnException'
  | 'InvalidCiphertextException'
  | 'InvalidKeyUsageException'
  | 'KMSInternalException'
  | 'KMSInvalidStateException'
  | 'KeyUnavailableException'
  | 'MalformedPolicyDocumentException'
  | 'MissingAuthenticationTokenException'
  | 'NotFoundException'
  | 'SerializationException'
  | 'ServiceUnavailable'
  | 'ThrottlingException'
  | 'UnknownOperationException'
  | 'UnrecognizedClientException'
  | 'ValidationException';

const STATUS: Partial<Record<KmsErrorType, number>> = {
  DependencyTimeoutException: 503,
  InternalFailure: 500,
  KMSInternalException: 500,
  KeyUnavailableException: 500,
  ServiceUnavailable: 503,
};

export class KmsError extends Error {
  readonly type: KmsErrorType;
  readonly status: number;

  /** @param words `message` of the answer; InvalidCiphertextException has none. */
  constructor(type: KmsErrorType, words = '') {
    super(words);
    this.name = 'KmsError';
    this.type = type;
    this.status = STATUS[type] ?? 400;
  }
}
