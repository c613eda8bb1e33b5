/** @file Models of a configuration that are given by a hub id: downloaded before anything starts. */
import { isHubId, snapshot } from "../../src/hub/snapshot.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { type Config, type Model, expandModel } from "../config/config.ts";

/** @param share of the bytes that are there */
export type Loading = (model: string, share: number) => void;

async function fetchModel(model: Model, onLoading: Loading, signal?: AbortSignal): Promise<Model> {
  const given = expandModel(model);
  if (!isHubId(given.path)) return model;
  try {
    const path = await snapshot(given.path, {
      dtype: given.dtype,
      onProgress: (bytes, total) => onLoading(given.path, bytes / total),
      ...(signal && { signal }),
    });
    return { name: given.path, ...given, path };
  } catch (error) {
    signal?.throwIfAborted();
    throw new UserError(`${(error as Error).message} (nor is there a folder of this name)`, { cause: error });
  }
}

/**
 * A configuration with folders in place of hub ids.
 * @throws UserError in one line, if a model is neither here nor there.
 */
export async function fetchModels(
  config: Config,
  onLoading: Loading = () => {},
  signal?: AbortSignal,
): Promise<Config> {
  const target = await fetchModel(config.target, onLoading, signal);
  const sources: Model[] = [];
  for (const source of config.sources) sources.push(await fetchModel(source, onLoading, signal));
  return { ...config, target, sources };
}
