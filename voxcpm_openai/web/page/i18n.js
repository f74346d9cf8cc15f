/** The languages of the page. */
import { CHINESE } from "./chinese.js";
import { ENGLISH } from "./english.js";

/** The languages, by code, each by its own name. */
export const LANGUAGES = { en: "English", zh: "中文" };

const TEXTS = { en: ENGLISH, zh: CHINESE };
const CHOSEN = "voxcpm-openai.language";

let language = localStorage.getItem(CHOSEN) ?? preferred();
setDocument();

function preferred() {
  const codes = navigator.languages.map((name) => name.split("-")[0]);
  return codes.find((code) => code in TEXTS) ?? "en";
}

function setDocument() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : language;
}

/** @returns {string} The code of the language of the page. */
export function currentLanguage() {
  return language;
}

/** Changes the language of the page, also for later visits. @param {string} code */
export function setLanguage(code) {
  language = code;
  localStorage.setItem(CHOSEN, code);
  setDocument();
}

/**
 * @param {keyof typeof ENGLISH} name
 * @param {Record<string, string | number>} values What stands for the names in braces.
 * @returns {string} A text in the language of the page.
 */
export function t(name, values = {}) {
  return TEXTS[language][name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** @param {string} code @returns {string} The name of a language in that of the page. */
export function languageName(code) {
  if (!code) return t("anyLanguage");
  try {
    return new Intl.DisplayNames([language], { type: "language" }).of(code);
  } catch {
    return code;
  }
}

/** @param {number} value @param {number} digits After the point. @returns {string} */
export function number(value, digits = 0) {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(language, options).format(value);
}

/** @param {number} count @returns {string} A number of bytes, such as "12 kB". */
export function bytes(count) {
  return count < 1e6 ? `${number(count / 1e3)} kB` : `${number(count / 1e6, 1)} MB`;
}

/** @param {number} value @returns {string} A duration, such as "1.2 s". */
export function seconds(value) {
  return value < 1 ? `${number(value * 1000)} ms` : `${number(value, 1)} s`;
}
