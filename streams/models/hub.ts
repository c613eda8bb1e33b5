/** @file Downloads the models of a configuration that are given by a hub id. */
import { isHubId, snapshot } from "../../src/hub/snapshot.ts";
import { asUserError } from "../../src/cli/user-error.ts";
import { type Config, type Model, expandModel } from "../config/config.ts";

/** @param fraction of the model that has been downloaded or loaded */
export type Loading = (model: string, fraction: number) => void;

async function fetchModel(model: Model, onLoading: Loading, signal?: AbortSignal): Promise<Model> {
  const given = expandModel(model);
  if (!isHubId(given.path)) return model;
  const download = async () => {
    const path = await snapshot(given.path, {
      dtype: given.dtype,
      onProgress: (bytes, total) => onLoading(given.path, bytes / total),
      ...(signal && { signal }),
    });
    return { name: given.path, ...given, path };
  };
  const describe = ({ message }: Error) => `${message} (and there is no folder of this name)`;
  return asUserError(download, { signal, describe });
}

/**
 * The configuration with folders in place of hub ids.
 * @throws UserError if a model is neither a folder nor on the hub.
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
