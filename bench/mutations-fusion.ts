/** @file Changes of the formulas of fusion, each of which some test must notice; see mutate.ts. */

/** Changes per file, and the tests that hold it: few and fast ones, without models where that is possible. */
export type Areas = Readonly<
  Record<
    string,
    {
      readonly tests: readonly string[];
      /** What stands in the file exactly once, and what takes its place. */
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
      ["ids.length - 1 :", "ids.length :"],
      ["(ends.at(-1) ?? 0) - (ends[0] ?? 0)", "(ends.at(-1) ?? 0)"],
      [": mean;", ": 0;"],
      ["nats / (end - start)", "nats"],
      ["Math.max(start, from)", "start"],
      ["Math.max(1, source.ends[i] - from)", "1"],
    ],
  },
  "src/fusion/select.ts": {
    tests: ["test/fusion/select.test.ts"],
    changes: [
      ["? -nll :", "? nll :"],
      ["/ sharpness", "* sharpness"],
      ["Math.exp(score - top)", "Math.exp(score)"],
      ["lmWeight + (1 - lmWeight) * progress", "lmWeight * (1 - progress)"],
      ["Math.max(...rewards)", "Math.min(...rewards)"],
      ['return 1 - (method === "minCE"', 'return (method === "minCE"'],
      ["values[i] * values[i]", "values[i]"],
      ["(1 - λ) * share * values[i]", "share * values[i]"],
      ["trust[teacher] > trust[best]", "trust[teacher] >= trust[best]"],
      ["writer.push(ids[t + 1], λ)", "writer.push(ids[t], λ)"],
      ["weights[t] = writer.normalizeRow()", "weights[t] = writer.normalizeRow() && 1"],
      ["this.#entries - 1, writer", "this.#entries, writer"],
      ["parts[teacher] / total", "parts[teacher]"],
      ["Math.max(trust[teacher], 1e-200)", "trust[teacher]"],
    ],
  },
  "src/fusion/project.ts": {
    tests: ["test/fusion/project.test.ts"],
    changes: [
      ['fallback === "next" ? 1 : 0', "0"],
      ["offsets[t + 1] - offsets[t] === 1", "offsets[t + 1] > offsets[t]"],
      ["candidates[topIds[i]]", "topIds[i]"],
      ["position === 0 &&", "position >= 0 &&"],
      ["Math.max(a, b) + Math.log1p", "a + Math.log1p"],
      ["first: (a: number) => a", "first: (_: number, b: number) => b"],
      ['projection === "soft" && map[source]', "map[source]"],
      ['projection === "soft" ? this.#tables.map', "true ? this.#tables.map"],
    ],
  },
  "src/fusion/spans.ts": {
    tests: ["test/fusion/spans.test.ts"],
    changes: [
      [" || source.ends[s + 1] === target.ends[t]", ""],
      ["writer.add(first[id], p)", "writer.add(first[id], 1)"],
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
  "src/fusion/spelling.ts": {
    tests: ["test/fusion/spans.test.ts"],
    changes: [
      ["rest.slice(0, -1)", "rest"],
      ["id === source.eos ? target.eos :", "id < 0 ? target.eos :"],
    ],
  },
  "src/fusion/byte-trie.ts": {
    tests: ["test/fusion/spans.test.ts"],
    changes: [
      ["known < 0 || byteToken.test(tokens[known])", "known < 0"],
      ["node >= 0 && this.#tokens[node] >= 0", "node >= 0 && token < 0"],
    ],
  },
  "src/fusion/sparse.ts": {
    tests: ["test/fusion/sparse.test.ts", "test/fusion/select.test.ts"],
    changes: [
      ["(values[i] - top) / temperature", "values[i] - top"],
      ["values[b] - values[a]", "values[a] - values[b]"],
      ["known + value", "value"],
      ["place >= this.#offsets[this.#rows] && ", ""],
      ["if (sum > 0) for", "for"],
    ],
  },
  "src/fusion/teach.ts": {
    tests: ["test/fusion/teach.test.ts", "test/fusion/project.test.ts", "test/fusion/spans.test.ts"],
    changes: [
      ["place < 0 ? value :", "true ? value :"],
      ["Math.log(mass / softened)", "0"],
      ["softened += Math.exp(score / temperature)", "softened += Math.exp(score)"],
      ["dropped += kept - placed", "dropped += kept"],
      ["? placed : 1", "? 1 : 1"],
      ["writer.add(next, 1)", "writer.add(next, 0.5)"],
      ["&& !writer.has(next)", ""],
      ["Math.min(k, topK)", "k"],
    ],
  },
  "src/fusion/token-align.ts": {
    tests: ["test/fusion/token-align.test.ts"],
    changes: [
      ["if (left < best) best = left;", ""],
      ["else if (up <= left) i--", "else if (up < left) i--"],
      ["diagonal <= up && diagonal <= left", "diagonal < up && diagonal <= left"],
      ['token.replaceAll(marker, "")', "token"],
    ],
  },
  "src/fusion/edit-distance.ts": {
    tests: ["test/fusion/token-align.test.ts"],
    changes: [
      ["plus = (plus << 1) | 1", "plus = plus << 1"],
      ["minus | ~(vertical | plus)", "minus | ~plus"],
      ["row[j] + 1, row[j - 1] + 1)", "row[j] + 1)"],
      ["pattern[j - 1] === codes[i] ? 0 : 1", "pattern[j - 1] === codes[i] ? 0 : 2"],
    ],
  },
  "src/fusion/vocabulary-map.ts": {
    tests: ["test/fusion/vocabulary-map.test.ts"],
    changes: [
      ["id < known", "id > known"],
      ["distance > best", "distance >= best"],
      ["own & ~signatures[i], best", "own & ~signatures[i], best - 1"],
      ["difference <= best &&", "difference < best - 1 &&"],
    ],
  },
  "src/fusion/corpus-maps.ts": {
    tests: ["test/fusion/vocabulary-map.test.ts"],
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
