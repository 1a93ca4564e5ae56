variable "provider_arn" {
  description = "ARN of the account's OIDC provider for the issuer. Null leaves environments out."
  type        = string
  default     = null
}

variable "issuer" {
  description = "The issuer's URL, exactly as its tokens have it in iss."
  type        = string
  default     = null

  validation {
    condition     = var.issuer == null || can(regex("^https?://[^?#]*[^/?#]$", var.issuer))
    error_message = "The issuer is a URL without a trailing slash, query or fragment."
  }
}

variable "audience" {
  description = "Audience of the tokens."
  type        = string
  default     = "sts.amazonaws.com"

  validation {
    condition     = can(regex("^[^*?$\\s]+$", var.audience))
    error_message = "The audience has no wildcard, policy variable or white space."
  }
}

variable "organization_id" {
  description = "Organisation whose environments are trusted."
  type        = string
  default     = null

  validation {
    condition     = var.organization_id == null || can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.organization_id))
    error_message = "The organisation's id is a lower-case UUID."
  }
}

variable "project_id" {
  description = "Trust the environments of this project only. With environment_id, the project that it belongs to."
  type        = string
  default     = null

  validation {
    condition     = var.project_id == null || can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.project_id))
    error_message = "The project's id is a lower-case UUID."
  }
}

variable "environment_id" {
  description = "Trust this environment only."
  type        = string
  default     = null

  validation {
    condition     = var.environment_id == null || can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.environment_id))
    error_message = "The environment's id is a lower-case UUID."
  }
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

  validation {
    condition     = alltrue([for arn in var.trusted_principal_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(root|(role|user)/[A-Za-z0-9_+=,.@/-]+)$", arn))])
    error_message = "A trusted principal is the ARN of an account's root, a role or a user, without wildcards."
  }
}

variable "external_id" {
  description = "What trusted principals have to name. Different for every customer."
  type        = string
  default     = null

  validation {
    condition     = var.external_id == null || (can(regex("^[A-Za-z0-9_+=,.@:/-]{2,}$", var.external_id)) && try(length(var.external_id) <= 1224, false))
    error_message = "An external id has 2 to 1224 letters, digits and _+=,.@:/-."
  }
}

variable "principal_org_id" {
  description = "AWS organisation that trusted principals have to belong to. Environments belong to none, so it does not concern them."
  type        = string
  default     = null

  validation {
    condition     = var.principal_org_id == null || can(regex("^o-[a-z0-9]{10,32}$", var.principal_org_id))
    error_message = "The id of an AWS organisation looks like o-a1b2c3d4e5."
  }
}

variable "source_ips" {
  description = "Networks that STS must be asked from, as STS sees them. Excludes source_vpces."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.source_ips : can(cidrhost(cidr, 0))])
    error_message = "A network looks like 203.0.113.0/24 or 2001:db8::/32."
  }
}

variable "source_vpces" {
  description = "VPC endpoints that STS must be asked through. Excludes source_ips, which such requests do not have."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.source_vpces : can(regex("^vpce-[a-z0-9]{8,32}$", id))])
    error_message = "The id of a VPC endpoint looks like vpce-0123456789abcdef0."
  }
}
