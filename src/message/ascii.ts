/** Whether a text has nothing above U+007F: what SMTP and headers carry without RFC 6531 and 6532. */
export function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 127) return false;
  return true;
}
