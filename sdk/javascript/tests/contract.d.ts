// What the engines offer as modules. The SDK gives it types.
declare module "oxide:*";
