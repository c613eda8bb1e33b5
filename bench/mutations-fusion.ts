/** @file Mutations of the fusion formulas, each of which a test must catch; see mutate.ts. */

/** Mutations per file, and the tests that must catch them: few and fast ones, without models where possible. */
export type Areas = Readonly<
  Record<
    string,
    {
      readonly tests: readonly string[];
      /** Text that occurs in the file exactly once, and its replacement. */
      readonly changes: readonly (readonly [from: string, to: string])[];
    }
  >
>;

export const fusion: Areas = {
  "src/fusion/nll.ts": {
    tests: ["test/fusion/nll.test.ts"],
    changes: [
      ["nll[i - 1] /", "nll[i] /"],
      [".fill(mean)", ".fill(0)"],
      ["count: ({ ids }) => ids.length - 1", "count: ({ ids }) => ids.length"],
      ["(ends.at(-1) ?? 0) - (ends[0] ?? 0)", "(ends.at(-1) ?? 0)"],
      [": mean;", ": 0;"],
      ["nats / (end - start)", "nats"],
      ["Math.max(start, from)", "start"],
      ["Math.max(1, source.ends[i] - from)", "1"],
    ],
  },
  "src/fusion/teacher-weights.ts": {
    tests: ["test/fusion/fuser.test.ts"],
    changes: [
      ["score: (nll) => -nll", "score: (nll) => nll"],
      ["/ sharpness", "* sharpness"],
      ["Math.exp(score - top)", "Math.exp(score)"],
    ],
  },
  "src/fusion/lm-schedule.ts": {
    tests: ["test/fusion/fuser.test.ts"],
    changes: [
      ["lmWeight + (1 - lmWeight) * progress", "lmWeight * (1 - progress)"],
      ["1 - reward()", "reward()"],
    ],
  },
  "src/fusion/rules.ts": {
    tests: ["test/fusion/fuser.test.ts"],
    changes: [
      ["weigh: (nlls) => nlls.map((nll) => -nll)", "weigh: weighTeachers"],
      ["Math.max(...rewards)", "Math.min(...rewards)"],
      ["values[i] * values[i]", "values[i]"],
      ["weights[teacher] > weights[best]", "weights[teacher] >= weights[best]"],
      ["Math.max(weights[teacher], minWeight);", "weights[teacher];"],
      ["Math.max(weights[teacher], minWeight) *", "weights[teacher] *"],
    ],
  },
  "src/fusion/fuser.ts": {
    tests: ["test/fusion/fuser.test.ts"],
    changes: [
      ["(1 - λ) * share * values[i]", "share * values[i]"],
      ["writer.push(ids[t + 1], λ)", "writer.push(ids[t], λ)"],
      ["weights[t] = writer.normalizeRow()", "weights[t] = writer.normalizeRow() && 1"],
      ["this.#maxEntries - 1, writer", "this.#maxEntries, writer"],
      ["parts[teacher] / total", "parts[teacher]"],
    ],
  },
  "src/fusion/token-projector.ts": {
    tests: ["test/fusion/token-projector.test.ts"],
    changes: [
      ["position: (t: number) => t + 1", "position: (t: number) => t"],
      ["offsets[t + 1] - offsets[t] === 1", "offsets[t + 1] > offsets[t]"],
      ["map[topIds[i]]", "topIds[i]"],
      ["t === 0 &&", "t >= 0 &&"],
      ["Math.max(a, b) + Math.log1p", "a + Math.log1p"],
      ["join: (a: number) => a", "join: (_: number, b: number) => b"],
      [" || map[source] === target", ""],
    ],
  },
  "src/fusion/byte-projector.ts": {
    tests: ["test/fusion/byte-projector.test.ts"],
    changes: [
      [" || source.ends[s + 1] === target.ends[t]", ""],
      ["writer.add(targetToken[id], p)", "writer.add(targetToken[id], 1)"],
      ["tail += 1 - kept", "tail += kept"],
      ["source.ends[s + 1] >= target.ends[t + 1]", "source.ends[s + 1] > target.ends[t + 1]"],
      ["byText && node >= 0 ? 1 : mass", "mass"],
      ["weight * (1 - kept)", "weight"],
      ["1 - kept - nextProbability", "1 - kept"],
      ["Math.exp(-nll[at])", "Math.exp(-nll[at - 1])"],
      ["mass * p;", "p;"],
      ["if (!byText || nextNode < 0) weight", "weight"],
      ["(byText && !found)", "false"],
    ],
  },
  "src/fusion/multi-token.ts": {
    tests: ["test/fusion/byte-projector.test.ts"],
    changes: [
      ["rest.slice(0, -1)", "rest"],
      ["id === source.eos ? target.eos :", "id < 0 ? target.eos :"],
    ],
  },
  "src/fusion/byte-trie.ts": {
    tests: ["test/fusion/byte-projector.test.ts"],
    changes: [
      ["known < 0 || byteToken.test(tokens[known])", "known < 0"],
      ["node >= 0 && this.#tokens[node] >= 0", "node >= 0 && token < 0"],
    ],
  },
  "src/fusion/sparse.ts": {
    tests: ["test/fusion/sparse.test.ts", "test/fusion/fuser.test.ts"],
    changes: [
      ["values[b] - values[a]", "values[a] - values[b]"],
      ["known + value", "value"],
      ["index >= this.#offsets[this.#rows] && ", ""],
      ["if (sum > 0) for", "for"],
    ],
  },
  "src/fusion/candidates.ts": {
    tests: [
      "test/fusion/aligners.test.ts",
      "test/fusion/token-projector.test.ts",
      "test/fusion/byte-projector.test.ts",
    ],
    changes: [
      ["index < 0 ? value :", "true ? value :"],
      ["Math.log(mass / softened)", "0"],
      ["softened += Math.exp(score / temperature)", "softened += Math.exp(score)"],
      ["writer.add(next, 1)", "writer.add(next, 0.5)"],
      ["&& !writer.has(next)", ""],
      ["Math.min(k, topK)", "k"],
    ],
  },
  "src/fusion/align-tokens.ts": {
    tests: ["test/fusion/token-projector.test.ts", "test/fusion/alignments.test.ts"],
    changes: [
      ["dropped += kept - placed", "dropped += kept"],
      ["? placed : 1", "? 1 : 1"],
      ["if (matchEnds) map", "map"],
    ],
  },
  "src/fusion/alignments.ts": {
    tests: ["test/fusion/alignments.test.ts"],
    changes: [
      ["source === target", "false"],
      ['fallback: "none" } : align', 'fallback: "next" } : align'],
      ['"fallback" in align && align', '"fallback" in align || align'],
    ],
  },
  "src/fusion/dtw.ts": {
    tests: ["test/fusion/dtw.test.ts"],
    changes: [
      ["if (left < best) best = left;", ""],
      ["else if (up <= left) i--", "else if (up < left) i--"],
      ["diagonal <= up && diagonal <= left", "diagonal < up && diagonal <= left"],
      ['token.replaceAll(marker, "")', "token"],
    ],
  },
  "src/fusion/edit-distance.ts": {
    tests: ["test/fusion/dtw.test.ts"],
    changes: [
      ["plus = (plus << 1) | 1", "plus = plus << 1"],
      ["minus | ~(vertical | plus)", "minus | ~plus"],
      ["row[j] + 1, row[j - 1] + 1)", "row[j] + 1)"],
      ["pattern[j - 1] === codes[i] ? 0 : 1", "pattern[j - 1] === codes[i] ? 0 : 2"],
    ],
  },
  "src/fusion/min-edit-map.ts": {
    tests: ["test/fusion/vocabulary-maps.test.ts"],
    changes: [
      ["id < known", "id > known"],
      ["distance > best", "distance >= best"],
      ["own & ~signatures[i], best", "own & ~signatures[i], best - 1"],
      ["difference <= best &&", "difference < best - 1 &&"],
    ],
  },
  "src/fusion/corpus-maps.ts": {
    tests: ["test/fusion/vocabulary-maps.test.ts"],
    changes: [
      ["i + window + 1", "i + window"],
      ["i - window", "i - window - 1"],
      ["? 0.1 : 1", "? 1 : 1"],
      [" / times", " * times"],
      ["similarity > bestCosine", "similarity < bestCosine"],
      ["norm(a) * norm(b) + 1e-6", "1"],
    ],
  },
};
