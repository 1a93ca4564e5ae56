variable "name" {
  description = "Name of the role."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@-]{1,64}$", var.name))
    error_message = "A role's name has 1 to 64 letters, digits and _+=,.@-."
  }
}

variable "path" {
  description = "Path of the role."
  type        = string
  default     = "/"
}

variable "description" {
  description = "What the role is for."
  type        = string
  default     = "Assumed with tokens of an identity provider for environments"
}

variable "max_session_duration" {
  description = "The longest session in seconds."
  type        = number
  default     = 3600

  validation {
    condition     = var.max_session_duration >= 3600 && var.max_session_duration <= 43200
    error_message = "IAM takes 3600 to 43200 seconds."
  }
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds what the role may do, whatever it is granted."
  type        = string
  default     = null
}

variable "permission_policy" {
  description = "What the role may do: a policy in JSON."
  type        = string
  default     = null
}

variable "managed_policy_arns" {
  description = "Managed policies of the role."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of the role."
  type        = map(string)
  default     = {}
}

variable "provider_arn" {
  description = "ARN of the account's OIDC provider for the issuer. Null leaves environments out."
  type        = string
  default     = null
}

variable "issuer" {
  description = "The issuer's URL, exactly as its tokens have it in iss."
  type        = string
  default     = null
}

variable "audience" {
  description = "Audience of the tokens."
  type        = string
  default     = "sts.amazonaws.com"
}

variable "organization_id" {
  description = "Organisation whose environments are trusted."
  type        = string
  default     = null
}

variable "project_id" {
  description = "Trust the environments of this project only. With environment_id, the project that it belongs to."
  type        = string
  default     = null
}

variable "environment_id" {
  description = "Trust this environment only."
  type        = string
  default     = null
}

variable "session_tags" {
  description = "Allow sts:TagSession, which tokens with session tags need."
  type        = bool
  default     = false
}

variable "source_identity" {
  description = "Allow sts:SetSourceIdentity, which tokens with a source identity need."
  type        = bool
  default     = false
}

variable "require_role_pin" {
  description = "Ask for tokens that are pinned to the role."
  type        = bool
  default     = false
}

variable "trusted_principal_arns" {
  description = "Roles, users or accounts (arn:aws:iam::ACCOUNT:root) that may assume the role with the external id."
  type        = list(string)
  default     = []
}

variable "external_id" {
  description = "What trusted principals have to name. Different for every customer."
  type        = string
  default     = null
}

variable "principal_org_id" {
  description = "AWS organisation that trusted principals have to belong to. Environments belong to none, so it does not concern them."
  type        = string
  default     = null
}

variable "source_ips" {
  description = "Networks that STS must be asked from, as STS sees them. Excludes source_vpces."
  type        = list(string)
  default     = []
}

variable "source_vpces" {
  description = "VPC endpoints that STS must be asked through. Excludes source_ips, which such requests do not have."
  type        = list(string)
  default     = []
}
