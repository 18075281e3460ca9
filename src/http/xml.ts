/** Writes XML. Text and attribute values are escaped here and nowhere else. */

export const XML_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n';

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** @param content Text, to be escaped; or elements that were made here. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string>>,
  content: string | readonly string[],
): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeXml(value)}"`);
  const inner = typeof content === 'string' ? escapeXml(content) : `\n${content.join('')}`;
  return `<${name}${written.join('')}>${inner}</${name}>\n`;
}

/** XML 1.0 §2.2 knows no control characters but tab, CR and LF: others are left out. */
function escapeXml(text: string): string {
  return text
    .replace(/[&<>"']/g, (character) => ESCAPES[character]!)
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '');
}
